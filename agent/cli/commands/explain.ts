import { isIP } from 'node:net';
import type { Command } from 'commander';
import type { RouteExplanation } from '../../http/schemas/control.ts';
import { contextOf } from '../context.ts';
import { CliUsageError } from '../errors.ts';
import { formatNumber, stateStyle } from '../format.ts';
import { formatTable, type TableColumn, type Terminal, wrapText } from '../terminal.ts';

export function registerExplain(program: Command): void {
  program
    .command('explain')
    .description('show which instance would get a request, and why')
    .argument('<path>', 'request path, for example /api/v1/auth/login')
    .option('--session <id>', 'id of a governance session')
    .option('--client <address>', 'client address')
    .option('--host <name>', 'request host')
    .addHelpText(
      'after',
      '\nExamples:\n  acgs-lb explain /api/v1/governance/synthesize\n  acgs-lb explain /admin --client 203.0.113.7',
    )
    .action(
      async (
        path: string,
        options: { session?: string; client?: string; host?: string },
        command: Command,
      ) => {
        if (!path.startsWith('/'))
          throw new CliUsageError(
            `${path} is not a path; a path starts with /, for example /api/v1/auth/login`,
          );
        if (options.client !== undefined && isIP(options.client) === 0) {
          throw new CliUsageError(`--client: ${options.client} is not an IP address such as 203.0.113.7`);
        }
        const context = contextOf(command);
        const { session, client, host } = options;
        const query = new URLSearchParams({
          path,
          ...(session ? { session } : {}),
          ...(client ? { client } : {}),
          ...(host ? { host } : {}),
        });
        const apiClient = await context.client();
        const explanation = await apiClient.get(`/v1/explain?${query}`, 'explanationSchema');
        context.print(explanation, () => formatExplanation(path, explanation, context.terminal));
        if (explanation.chosen === null) process.exitCode = 1;
      },
    );
}

type CandidateRow = RouteExplanation['candidates'][number];

export function formatExplanation(path: string, explanation: RouteExplanation, terminal: Terminal): string {
  const { service, route, strategy, chosen, why, limits, candidates } = explanation;
  const head = chosen
    ? `${path} → ${terminal.paint('green', chosen)}`
    : `${path} → ${terminal.paint('red', 'no instance')}`;
  const facts = [
    ['why', why],
    ...(service ? [['service', `${service}, by route ${route ?? '?'}, ${strategy ?? ''}`]] : []),
    ...(limits.length > 0 ? [['limited', `by ${limits.join(', ')}`]] : []),
  ].map(([name = '', text = '']) => `${name.padEnd(10)}${wrapText(text, 10, terminal)}`);
  const columns: TableColumn<CandidateRow>[] = [
    { title: '', value: (row) => (row.chosen ? '→' : ' ') },
    { title: 'CANDIDATE', value: (row) => row.id, shrinkFactor: 0.6, minWidth: 16 },
    { title: 'STATE', value: (row) => row.state, style: (row) => stateStyle(row.state) },
    { title: 'SHARE %', value: (row) => formatNumber(row.sharePercent, 1), align: 'right' },
    {
      title: 'GETS %',
      value: (row) => formatNumber(row.measuredPercent, 1),
      align: 'right',
      dropPriority: 4,
    },
    { title: 'WEIGHT', value: (row) => String(row.weight), align: 'right', dropPriority: 2 },
    { title: 'PRIORITY', value: (row) => String(row.priority), align: 'right', dropPriority: 3 },
    ...(candidates.some(({ source }) => source !== null)
      ? [{ title: 'FROM', value: (row: CandidateRow) => row.source ?? '', dropPriority: 1 }]
      : []),
    { title: 'WHY', value: (row) => row.reason, shrinkFactor: 1, minWidth: 16 },
  ];
  return [
    head,
    facts.join('\n'),
    ...(candidates.length > 0 ? [formatTable(candidates, columns, terminal)] : []),
  ].join('\n\n');
}

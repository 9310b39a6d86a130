import { isIP } from 'node:net';
import type { Command } from 'commander';
import { explanationSchema, type RouteExplanation } from '../../http/schemas.ts';
import { contextOf } from '../context.ts';
import { CliUsageError } from '../errors.ts';
import { formatNumber, stateStyle } from '../format.ts';
import { parseResponse } from '../response-schemas.ts';
import { formatTable, type TableColumn, type Terminal, wrapText } from '../terminal.ts';

export function registerExplain(program: Command): void {
  program
    .command('explain')
    .description('which instance a request would go to, and why')
    .argument('<path>', 'such as /api/v1/auth/login')
    .option('--session <id>', "the governance session's id")
    .option('--client <address>', "the client's address")
    .option('--host <name>', 'the host asked for')
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
          throw new CliUsageError(`${path} is no path: it begins with /, such as /api/v1/auth/login`);
        if (options.client !== undefined && isIP(options.client) === 0) {
          throw new CliUsageError(`--client: ${options.client} is no address such as 203.0.113.7`);
        }
        const context = contextOf(command);
        const { session, client, host } = options;
        const query = new URLSearchParams({
          path,
          ...(session ? { session } : {}),
          ...(client ? { client } : {}),
          ...(host ? { host } : {}),
        });
        const answer = await (await context.client()).get(`/v1/explain?${query}`);
        const explanation = parseResponse(explanationSchema, answer, 'explanation');
        context.print(explanation, () => formatExplanation(path, explanation, context.terminal));
        if (explanation.chosen === null) process.exitCode = 1;
      },
    );
}

/** The answer for a terminal. */
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
  const columns: TableColumn<RouteExplanation['candidates'][number]>[] = [
    { title: '', value: (row) => (row.chosen ? '→' : ' ') },
    { title: 'CANDIDATE', value: (row) => row.id, shrinkFactor: 0.6, minWidth: 16 },
    { title: 'STATE', value: (row) => row.state, style: (row) => stateStyle(row.state) },
    { title: 'SHARE %', value: (row) => formatNumber(row.sharePercent, 1), align: 'right' },
    { title: 'WEIGHT', value: (row) => String(row.weight), align: 'right', dropPriority: 2 },
    { title: 'PRIORITY', value: (row) => String(row.priority), align: 'right', dropPriority: 3 },
    { title: 'WHY', value: (row) => row.reason, shrinkFactor: 1, minWidth: 16 },
  ];
  return [
    head,
    facts.join('\n'),
    ...(candidates.length > 0 ? [formatTable(candidates, columns, terminal)] : []),
  ].join('\n\n');
}

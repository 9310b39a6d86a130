import type { Command } from 'commander';
import type { StatusDocument } from '../../http/schemas/status.ts';
import { type ApiClient, parseAnswer } from '../client.ts';
import { type CommandContext, contextOf } from '../context.ts';
import { CliUsageError, CommandFailed } from '../errors.ts';
import { readEventStream } from '../event-stream.ts';
import { formatStatus } from '../status-view.ts';

export function registerStatus(program: Command): void {
  program
    .command('status')
    .description('show the state of the system: verdict, traffic, instances, recent changes')
    .argument('[service]', 'only this service')
    .option('-a, --all', 'list all instances, even of a large fleet')
    .option('-w, --watch', 'show it on the whole terminal, worst first (with --json: one document per line)')
    .addHelpText(
      'after',
      '\nKeys of --watch: ↑ ↓ PgUp PgDn Home End scroll, a lists healthy instances as well, q ends.\n\n' +
        'Examples:\n  acgs-lb status\n  acgs-lb status gs --watch\n  acgs-lb status --json | jq .services[].id',
    )
    .action(
      async (service: string | undefined, options: { all?: boolean; watch?: boolean }, command: Command) => {
        const context = contextOf(command);
        const { all = false } = options;
        if (options.watch) return watch(context, service, all);
        const client = await context.client();
        const status = selectService(await client.get('/v1/status', 'statusSchema'), service);
        context.print(status, () => formatStatus(status, context.terminal, all));
      },
    );
}

function selectService(status: StatusDocument, service: string | undefined): StatusDocument {
  if (!service) return status;
  const services = status.services.filter((candidate) => candidate.id === service);
  if (services.length === 0) {
    const known = status.services.map((candidate) => candidate.id).join(', ');
    throw new CliUsageError(`unknown service ${service}; expected one of ${known}`);
  }
  return {
    ...status,
    services,
    // An alert of the site concerns every service.
    alerts: status.alerts.filter((alert) => alert.service === service || alert.service === ''),
    changes: status.changes.filter((change) => change.service === service),
  };
}

async function watch(context: CommandContext, service: string | undefined, all: boolean): Promise<void> {
  const client = await context.client();
  const { terminal, json } = context;
  // Report an unknown service or an unreachable agent before the screen changes.
  selectService(await client.get('/v1/status', 'statusSchema'), service);
  const open = () => statusUpdates(client, service);
  if (terminal.interactive && !json) {
    const { watchStatus } = await import('../watch/watch.ts');
    return watchStatus(terminal, { all, open });
  }
  for await (const status of open()) {
    terminal.write(json ? JSON.stringify(status) : `${formatStatus(status, terminal, all)}\n`);
  }
  throw new CommandFailed('the agent closed the stream');
}

async function* statusUpdates(
  client: ApiClient,
  service: string | undefined,
): AsyncGenerator<StatusDocument> {
  const response = await client.open('/v1/live');
  for await (const message of readEventStream(response.body)) {
    if (message.event !== 'status') continue;
    const value: unknown = JSON.parse(message.data);
    const status = await parseAnswer('statusSchema', value, { request: 'GET /v1/live', response });
    yield selectService(status, service);
  }
}

import type { Command } from 'commander';
import { EVENT_KINDS } from '../../history/events.ts';
import { integerBetween } from '../arguments.ts';
import { type ApiClient, parseAnswer } from '../client.ts';
import { type CommandContext, contextOf } from '../context.ts';
import { CliUsageError, CommandFailed } from '../errors.ts';
import { readEventStream } from '../event-stream.ts';
import { readInstances } from '../instance-api.ts';
import { formatChange, formatHistoryEvent } from '../status-view.ts';
import { withSinceUntil } from '../time-options.ts';

interface EventsOptions {
  follow: boolean;
  limit: number;
  service?: string;
  instance?: string;
  kind?: string;
  since?: number;
  until?: number;
}

export function registerEvents(program: Command): void {
  const command = program
    .command('events')
    .description('follow the changes of instances until Ctrl-C, or print events of history')
    .option('--no-follow', 'print recent events and exit')
    .option('--limit <n>', 'maximum number of past events', integerBetween(0, 1000), 20)
    .option('--service <service>', 'only events of this service')
    .option('--instance <instance>', 'only events of this instance')
    .option('--kind <kinds>', `only these kinds, separated by commas: ${EVENT_KINDS.join(', ')}`);
  withSinceUntil(
    command,
    'print events of history from then on and exit; a duration (that long ago) or a time',
  )
    .addHelpText(
      'after',
      '\nExamples:\n  acgs-lb events\n  acgs-lb events --no-follow --limit 100 --json\n  acgs-lb events --since 24h --service gs --kind state,alert,rollout',
    )
    .action(async (options: EventsOptions, own: Command) => {
      const context = contextOf(own);
      if (options.until !== undefined && options.since === undefined) {
        throw new CliUsageError('--until: needs --since');
      }
      const client = await context.client();
      // A removed service still has events of the past.
      if (options.follow && options.since === undefined) await requireService(client, options);
      await (options.since === undefined
        ? followEvents(context, client, options)
        : printPast(context, client, options));
    });
}

function filterOf({ limit, service, instance, kind }: EventsOptions) {
  return {
    limit: String(limit),
    ...(service !== undefined && { service }),
    ...(instance !== undefined && { instance }),
    ...(kind !== undefined && { kind }),
  };
}

async function requireService(client: ApiClient, { service }: EventsOptions): Promise<void> {
  if (service !== undefined) await readInstances(client, service);
}

async function followEvents(
  context: CommandContext,
  client: ApiClient,
  options: EventsOptions,
): Promise<void> {
  const query = new URLSearchParams({ ...filterOf(options), ...(options.follow ? {} : { follow: 'false' }) });
  const response = await client.open(`/v1/events?${query}`);
  let found = 0;
  for await (const message of readEventStream(response.body)) {
    if (message.event !== 'change') continue;
    found++;
    const value: unknown = JSON.parse(message.data);
    const change = await parseAnswer('changeSchema', value, { request: 'GET /v1/events', response });
    context.terminal.write(context.json ? JSON.stringify(change) : formatChange(change, context.terminal));
  }
  if (options.follow) throw new CommandFailed('the agent closed the stream');
  if (found === 0) await reportNone(context, client, options);
}

/** Events of history, oldest first, one per line. */
async function printPast(context: CommandContext, client: ApiClient, options: EventsOptions): Promise<void> {
  const { since, until } = options;
  const query = new URLSearchParams({
    ...filterOf(options),
    since: String(since),
    ...(until !== undefined && { until: String(until) }),
  });
  const { events, next } = await client.get(`/v1/events?${query}`, 'eventPageSchema');
  for (const event of events.toReversed()) {
    context.terminal.write(
      context.json ? JSON.stringify(event) : formatHistoryEvent(event, context.terminal),
    );
  }
  if (events.length === 0) await reportNone(context, client, options);
  if (next !== null)
    context.terminal.error(`the newest ${events.length} events; for more: --limit, up to 1000`);
}

/** Says that nothing was found, and whether the service is unknown. */
async function reportNone(context: CommandContext, client: ApiClient, options: EventsOptions): Promise<void> {
  await requireService(client, options);
  context.terminal.error(`no matching event${options.since === undefined ? '' : ' in this period'}`);
}

import type { Command } from 'commander';
import { errorMessage } from '../../../shared/error-message.ts';
import { type StatusDocument, statusSchema } from '../../http/schemas.ts';
import { type ApiClient, parseResponse } from '../client.ts';
import { type CommandContext, contextOf } from '../context.ts';
import { CommandFailed } from '../errors.ts';
import { readEventStream } from '../event-stream.ts';
import { formatStatus } from '../status-view.ts';

const RETRY_MS = 1_000;

export function registerStatus(program: Command): void {
  program
    .command('status')
    .description('show the state of the system: verdict, traffic, instances, recent changes')
    .argument('[service]', 'only this service')
    .option('-a, --all', 'list all instances, even of a large fleet')
    .option('-w, --watch', 'refresh until Ctrl-C (with --json: one document per line)')
    .addHelpText(
      'after',
      '\nExamples:\n  acgs-lb status\n  acgs-lb status gs --watch\n  acgs-lb status --json | jq .services[].id',
    )
    .action(
      async (service: string | undefined, options: { all?: boolean; watch?: boolean }, command: Command) => {
        const context = contextOf(command);
        const { all = false } = options;
        if (options.watch) return watch(context, service, all);
        const client = await context.client();
        const status = selectService(await client.get('/v1/status', statusSchema), service);
        context.print(status, () => formatStatus(status, context.terminal, all));
      },
    );
}

function selectService(status: StatusDocument, service: string | undefined): StatusDocument {
  if (!service) return status;
  const services = status.services.filter((candidate) => candidate.id === service);
  if (services.length === 0) {
    const known = status.services.map((candidate) => candidate.id).join(', ');
    throw new CommandFailed(`unknown service ${service}; expected one of ${known}`);
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
  const { terminal } = context;
  // Report an unknown service or an unreachable agent before the screen changes.
  selectService(await client.get('/v1/status', statusSchema), service);
  if (!context.json) useAlternateScreen(context);
  const canRetry = terminal.interactive && !context.json;
  for (;;) {
    try {
      for await (const status of statusUpdates(client, service)) {
        if (context.json) terminal.write(JSON.stringify(status));
        else show(context, formatStatus(status, terminal, all));
      }
    } catch (error) {
      if (!canRetry) throw error;
      show(context, terminal.paint('red', `${errorMessage(error)}; retrying`));
    }
    if (!terminal.interactive) throw new CommandFailed('the agent closed the stream');
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

async function* statusUpdates(
  client: ApiClient,
  service: string | undefined,
): AsyncGenerator<StatusDocument> {
  const { body } = await client.open('/v1/live');
  if (!body) throw new CommandFailed('the agent sent an empty response');
  for await (const message of readEventStream(body)) {
    if (message.event !== 'status') continue;
    yield selectService(parseResponse(statusSchema, JSON.parse(message.data), 'GET /v1/live'), service);
  }
}

/**
 * Redraws the terminal in place. Each line is cleared to its end, which avoids flicker. Lines that do not fit the
 * window are omitted, because scrolling would break the next redraw.
 */
function show({ terminal }: CommandContext, text: string): void {
  if (!terminal.interactive) {
    terminal.write(`${text}\n`);
    return;
  }
  const all = text.split('\n');
  const fits = all.length < terminal.rows;
  const visible = fits ? all : all.slice(0, Math.max(1, terminal.rows - 2));
  const hint = `${all.length - visible.length} more lines: enlarge the window or name a service`;
  const lines = [...visible, ...(fits ? [] : [terminal.paint('dim', hint)])].map((line) => `${line}\x1b[K`);
  terminal.write(`\x1b[H${lines.join('\n')}\x1b[J`);
}

/** Switches to the terminal's alternate screen, and back when the process exits. */
function useAlternateScreen({ terminal }: CommandContext): void {
  if (!terminal.interactive) return;
  process.stdout.write('\x1b[?1049h\x1b[?25l');
  process.once('exit', () => process.stdout.write('\x1b[?25h\x1b[?1049l'));
  process.once('SIGINT', () => process.exit(130));
  process.once('SIGTERM', () => process.exit(143));
}

import type { Command } from 'commander';
import { type StatusDocument, statusSchema } from '../../http/schemas.ts';
import { type CommandContext, contextOf } from '../context.ts';
import { CommandFailed } from '../errors.ts';
import { readEventStream } from '../event-stream.ts';
import { parseResponse } from '../response-schemas.ts';
import { formatStatus } from '../status-view.ts';

export function registerStatus(program: Command): void {
  program
    .command('status')
    .description('is everything all right, and if not, what and since when')
    .argument('[service]', 'only this service')
    .option('-w, --watch', 'keep the picture fresh until Ctrl-C (with --json: one document a line)')
    .addHelpText(
      'after',
      '\nExamples:\n  acgs-lb status\n  acgs-lb status gs --watch\n  acgs-lb status --json | jq .services[].id',
    )
    .action(async (service: string | undefined, options: { watch?: boolean }, command: Command) => {
      const context = contextOf(command);
      if (options.watch) return watch(context, service);
      const status = only(
        parseResponse(statusSchema, await (await context.client()).get('/v1/status'), 'status'),
        service,
      );
      context.print(status, () => formatStatus(status, context.terminal));
    });
}

function only(status: StatusDocument, service: string | undefined): StatusDocument {
  if (!service) return status;
  const services = status.services.filter((candidate) => candidate.id === service);
  if (services.length === 0) {
    const known = status.services.map((candidate) => candidate.id).join(', ');
    throw new CommandFailed(`no service ${service}; there are ${known}`);
  }
  return { ...status, services, changes: status.changes.filter((change) => change.service === service) };
}

async function watch(context: CommandContext, service: string | undefined): Promise<void> {
  const client = await context.client();
  const { terminal } = context;
  // What is wrong from the start is told at once: an unknown service, no agent.
  only(parseResponse(statusSchema, await client.get('/v1/status'), 'status'), service);
  if (!context.json) ownScreen(context);
  for (;;) {
    try {
      const response = await client.open('/v1/live');
      if (!response.body) throw new CommandFailed('the agent sent no stream');
      for await (const message of readEventStream(response.body)) {
        if (message.event !== 'status') continue;
        const status = only(parseResponse(statusSchema, JSON.parse(message.data), 'status'), service);
        if (context.json) terminal.write(JSON.stringify(status));
        else show(context, formatStatus(status, terminal));
      }
    } catch (error) {
      if (!terminal.interactive || context.json) throw error;
      show(
        context,
        terminal.paint('red', `${error instanceof Error ? error.message : String(error)}; trying again`),
      );
    }
    if (!terminal.interactive) throw new CommandFailed('the agent closed the stream');
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
}

/**
 * On a terminal the picture is redrawn in place, each line cleared to its end, so that nothing flickers. What does not
 * fit the window is left out: a picture that scrolls could not be drawn over.
 */
function show({ terminal }: CommandContext, text: string): void {
  if (!terminal.interactive) {
    terminal.write(`${text}\n`);
    return;
  }
  const all = text.split('\n');
  const fits = all.length < terminal.rows;
  const seen = fits ? all : all.slice(0, Math.max(1, terminal.rows - 2));
  const rest = `${all.length - seen.length} more lines: make the window higher, or name a service`;
  const lines = [...seen, ...(fits ? [] : [terminal.paint('dim', rest)])].map((line) => `${line}\x1b[K`);
  terminal.write(`\x1b[H${lines.join('\n')}\x1b[J`);
}

/** A screen of its own, as `less` has one: what was there before comes back at the end. */
function ownScreen({ terminal }: CommandContext): void {
  if (!terminal.interactive) return;
  process.stdout.write('\x1b[?1049h\x1b[?25l');
  const leave = () => process.stdout.write('\x1b[?25h\x1b[?1049l');
  process.once('exit', leave);
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    process.once(signal, () => process.exit(code));
  }
}

import type { Command } from 'commander';
import {
  type ApiAlert,
  type ApiSilence,
  alertListSchema,
  alertSchema,
  alertTestSchema,
  silenceListSchema,
  silenceSchema,
} from '../../http/schemas.ts';
import { integerBetween, rejectUnknownSubcommand } from '../arguments.ts';
import { type CommandContext, contextOf } from '../context.ts';
import { CliUsageError, CommandFailed } from '../errors.ts';
import { plural } from '../format.ts';
import { parseResponse } from '../response-schemas.ts';
import { formatTable, replaceControlCharacters, wrapText } from '../terminal.ts';

const whoami = (): string => process.env.SUDO_USER ?? process.env.USER ?? 'cli';

export function registerAlerts(program: Command): void {
  const alerts = program
    .command('alerts')
    .description('what is wrong now; acknowledge, silence, test the receivers')
    .addHelpText(
      'after',
      '\nExamples:\n  acgs-lb alerts\n  acgs-lb alerts ack 3f0c…\n' +
        '  acgs-lb alerts silence --service gs --for 2h --reason "planned migration"\n  acgs-lb alerts test',
    );
  alerts
    .command('list', { isDefault: true })
    .description('alerts that fire')
    .option('--all', 'the latest of all, resolved ones too')
    .option('--limit <n>', 'at most so many', integerBetween(1, 1000), 50)
    .allowExcessArguments()
    .action(async (options: { all?: boolean; limit: number }, command: Command) => {
      rejectUnknownSubcommand(command);
      const context = contextOf(command);
      const query = new URLSearchParams({
        state: options.all ? 'all' : 'firing',
        limit: String(options.limit),
      });
      const answer = parseResponse(
        alertListSchema,
        await (await context.client()).get(`/v1/alerts?${query}`),
        'alerts',
      );
      context.print(answer, ({ alerts: list }) => listText(list, context));
    });
  alerts
    .command('ack')
    .description('stop the repeats of an alert; its end is still told')
    .argument('<id>', 'or the first letters of it')
    .action(async (id: string, _options: unknown, command: Command) => {
      // All ids begin with nothing: an empty variable in a script must not take what happens to fire.
      if (id === '') throw new CliUsageError('the id is empty: `acgs-lb alerts` tells it');
      const context = contextOf(command);
      const client = await context.client();
      const { alerts: firing } = parseResponse(alertListSchema, await client.get('/v1/alerts'), 'alerts');
      const found = firing.filter((alert) => alert.id.startsWith(id));
      const [first] = found;
      if (!first || found.length > 1) {
        throw new CommandFailed(first ? `more than one alert begins with ${id}` : `no alert ${id} fires`);
      }
      const answer = await client.post(`/v1/alerts/${first.id}/ack`, { by: whoami() });
      context.print(parseResponse(alertSchema, answer, 'alert'), (alert) => `acknowledged: ${alert.message}`);
    });
  registerTest(alerts);
  registerSilences(alerts);
}

function registerTest(alerts: Command): void {
  alerts
    .command('test')
    .description('send a test message to every receiver of the file, and tell how it went')
    .argument('[receiver]', 'only this one')
    .action(async (receiver: string | undefined, _options: unknown, command: Command) => {
      const context = contextOf(command);
      const body = receiver === undefined ? {} : { receiver };
      const answer = await (await context.client()).post('/v1/alerts/test', body);
      const { results } = parseResponse(alertTestSchema, answer, 'results');
      context.print({ results }, () =>
        results.map(({ receiver: name, error }) => `${name}: ${error ?? 'delivered'}`).join('\n'),
      );
      const failed = results.filter(({ error }) => error !== null).map(({ receiver: name }) => name);
      if (failed.length > 0) throw new CommandFailed(`not delivered: ${failed.join(', ')}`);
    });
}

function registerSilences(alerts: Command): void {
  alerts
    .command('silence')
    .description('keep alerts back for a while')
    .requiredOption('--for <duration>', 'such as 30m or 2h')
    .requiredOption('--reason <text>', 'why')
    .option('--rule <rule>', 'only of this rule, such as p95Ms')
    .option('--service <service>', 'only of this service')
    .action(async (options: Record<string, string>, command: Command) => {
      const context = contextOf(command);
      const body = { ...options, by: whoami() };
      const answer = await (await context.client()).post('/v1/alerts/silences', body);
      context.print(parseResponse(silenceSchema, answer, 'silence'), (made) => silenceText(made, context));
    });
  alerts
    .command('silences')
    .description('silences that hold')
    .action(async (_options: unknown, command: Command) => {
      const context = contextOf(command);
      const answer = await (await context.client()).get('/v1/alerts/silences');
      context.print(
        parseResponse(silenceListSchema, answer, 'silences'),
        ({ silences }) => silences.map((one) => silenceText(one, context)).join('\n') || 'no silences',
      );
    });
  alerts
    .command('unsilence')
    .description('end a silence')
    .argument('<id>')
    .action(async (id: string, _options: unknown, command: Command) => {
      const context = contextOf(command);
      await (await context.client()).delete(`/v1/alerts/silences/${encodeURIComponent(id)}`);
      context.print({ id }, () => `ended ${id}`);
    });
}

function silenceText(silence: ApiSilence, { terminal }: CommandContext): string {
  const { id, rule, service, until, reason, createdBy } = silence;
  const what = `${rule || 'every rule'} of ${service || 'every service'} until ${new Date(until).toISOString()}`;
  return wrapText(replaceControlCharacters(`${id}: ${what}, by ${createdBy}: ${reason}`), 2, terminal);
}

function listText(list: readonly ApiAlert[], { terminal }: CommandContext): string {
  if (list.length === 0) return terminal.paint('green', 'no alerts');
  const note = (alert: ApiAlert): string => {
    if (alert.resolvedAt !== null) return `resolved ${new Date(alert.resolvedAt).toISOString()}`;
    if (alert.acknowledgedBy !== null) return `taken by ${alert.acknowledgedBy}`;
    return alert.silenced ? 'silenced' : `told ${plural(alert.notified, 'time')}`;
  };
  return formatTable(
    list,
    [
      { title: 'ID', value: ({ id }) => id.slice(0, 8) },
      {
        title: 'SEVERITY',
        value: ({ severity }) => severity,
        style: ({ severity, state }) =>
          state === 'resolved' ? 'dim' : severity === 'warning' ? 'yellow' : 'red',
      },
      { title: 'SINCE', value: ({ startedAt }) => new Date(startedAt).toISOString(), dropPriority: 2 },
      { title: 'NOTE', value: note, dropPriority: 1 },
      { title: 'MESSAGE', value: ({ message }) => message, shrinkFactor: 1 },
    ],
    terminal,
  );
}

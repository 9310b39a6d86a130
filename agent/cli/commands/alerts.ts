import type { Command } from 'commander';
import type { ApiAlert, ApiSilence } from '../../http/schemas/alerts.ts';
import { integerBetween, rejectUnknownSubcommand } from '../arguments.ts';
import { type CommandContext, contextOf } from '../context.ts';
import { CliUsageError, CommandFailed } from '../errors.ts';
import { plural } from '../format.ts';
import { formatTable, replaceControlCharacters, wrapText } from '../terminal.ts';
import { utcSecond } from '../time-options.ts';

/** Recorded as the author of an acknowledgement or a silence. */
const currentUser = (): string => process.env.SUDO_USER ?? process.env.USER ?? 'cli';

export function registerAlerts(program: Command): void {
  const alerts = program
    .command('alerts')
    .description('list, acknowledge and silence alerts; test the receivers')
    .addHelpText(
      'after',
      '\nExamples:\n  acgs-lb alerts\n  acgs-lb alerts ack 3f0c…\n' +
        '  acgs-lb alerts silence --service gs --for 2h --reason "planned migration"\n  acgs-lb alerts test',
    );
  alerts
    .command('list', { isDefault: true })
    .description('list firing alerts')
    .option('--all', 'include resolved alerts')
    .option('--limit <n>', 'maximum number of alerts', integerBetween(1, 1000), 50)
    .allowExcessArguments()
    .action(async (options: { all?: boolean; limit: number }, command: Command) => {
      rejectUnknownSubcommand(command);
      const context = contextOf(command);
      const query = new URLSearchParams({
        state: options.all ? 'all' : 'firing',
        limit: String(options.limit),
      });
      const client = await context.client();
      const response = await client.get(`/v1/alerts?${query}`, 'alertListSchema');
      context.print(response, ({ alerts: list }) => listText(list, context));
    });
  alerts
    .command('ack')
    .description('acknowledge an alert: no more repeats, but the resolved message is still sent')
    .argument('<id>', 'id of the alert, or its first characters')
    .action(async (id: string, _options: unknown, command: Command) => {
      // Every id starts with '': an empty variable in a script must not acknowledge an arbitrary alert.
      if (id === '') throw new CliUsageError('the id is empty; `acgs-lb alerts` lists the ids');
      const context = contextOf(command);
      const client = await context.client();
      const { alerts: firing } = await client.get('/v1/alerts', 'alertListSchema');
      const [first, second] = firing.filter((alert) => alert.id.startsWith(id));
      if (!first || second) {
        throw new CommandFailed(
          first
            ? `more than one firing alert has an id that starts with ${id}`
            : `no firing alert has the id ${id}`,
        );
      }
      const body = { by: currentUser() };
      const acknowledged = await client.post(`/v1/alerts/${first.id}/ack`, 'alertSchema', body);
      context.print(acknowledged, ({ message }) => `acknowledged: ${message}`);
    });
  registerTest(alerts);
  registerSilences(alerts);
}

function registerTest(alerts: Command): void {
  alerts
    .command('test')
    .description('send a test message to every configured receiver and show the results')
    .argument('[receiver]', 'only this receiver')
    .action(async (receiver: string | undefined, _options: unknown, command: Command) => {
      const context = contextOf(command);
      const body = receiver === undefined ? {} : { receiver };
      const client = await context.client();
      const { results } = await client.post('/v1/alerts/test', 'alertTestSchema', body);
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
    .description('send no messages for matching alerts for a time')
    .requiredOption('--for <duration>', 'how long, for example 30m or 2h')
    .requiredOption('--reason <text>', 'reason, shown with the silence')
    .option('--rule <rule>', 'only alerts of this rule, for example p95Ms')
    .option('--service <service>', 'only alerts of this service')
    .action(async (options: Record<string, string>, command: Command) => {
      const context = contextOf(command);
      const body = { ...options, by: currentUser() };
      const client = await context.client();
      const silence = await client.post('/v1/alerts/silences', 'silenceSchema', body);
      context.print(silence, () => silenceText(silence, context));
    });
  alerts
    .command('silences')
    .description('list active silences')
    .action(async (_options: unknown, command: Command) => {
      const context = contextOf(command);
      const client = await context.client();
      context.print(
        await client.get('/v1/alerts/silences', 'silenceListSchema'),
        ({ silences }) =>
          silences.map((silence) => silenceText(silence, context)).join('\n') || 'no silences',
      );
    });
  alerts
    .command('unsilence')
    .description('end a silence')
    .argument('<id>', 'id that `acgs-lb alerts silences` shows')
    .action(async (id: string, _options: unknown, command: Command) => {
      const context = contextOf(command);
      await (await context.client()).send('DELETE', `/v1/alerts/silences/${encodeURIComponent(id)}`);
      context.print({ id }, () => `ended silence ${id}`);
    });
}

function silenceText(silence: ApiSilence, { terminal }: CommandContext): string {
  const { id, rule, service, until, reason, createdBy } = silence;
  const scope = `${rule || 'every rule'} of ${service || 'every service'} until ${new Date(until).toISOString()}`;
  return wrapText(replaceControlCharacters(`${id}: ${scope}, by ${createdBy}: ${reason}`), 2, terminal);
}

function listText(list: readonly ApiAlert[], { terminal }: CommandContext): string {
  if (list.length === 0) return terminal.paint('green', 'no alerts');
  const note = (alert: ApiAlert): string => {
    if (alert.resolvedAt !== null) return `resolved ${utcSecond(alert.resolvedAt)}`;
    if (alert.acknowledgedBy !== null) return `acknowledged by ${alert.acknowledgedBy}`;
    return alert.silenced ? 'silenced' : `sent ${plural(alert.notified, 'time')}`;
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
      { title: 'SINCE (UTC)', value: ({ startedAt }) => utcSecond(startedAt), dropPriority: 1 },
      { title: 'NOTE', value: note, dropPriority: 2 },
      { title: 'MESSAGE', value: ({ message }) => message, shrinkFactor: 1, minWidth: 36 },
    ],
    terminal,
  );
}

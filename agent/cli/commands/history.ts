import type { Command } from 'commander';
import { contextOf } from '../context.ts';
import { CliUsageError } from '../errors.ts';
import { formatHistory } from '../history-text.ts';
import { moment, withSinceUntil } from '../time-options.ts';

const EVENTS_SHOWN = 10;

export function registerHistory(program: Command): void {
  const command = program
    .command('history')
    .description('figures of a service or an instance over time, with its events')
    .argument('<subject>', 'service, or service/instance');
  withSinceUntil(command, 'start; a duration such as 6h (that long ago) or a time')
    .addHelpText(
      'after',
      '\nExamples:\n  acgs-lb history gs --since 6h\n  acgs-lb history gs/gs-1 --since "2026-11-28 02:00" --until "2026-11-28 05:00"\n  acgs-lb history gs --since 30d --json',
    )
    .action(async (subject: string, options: { since?: number; until?: number }, own: Command) => {
      const context = contextOf(own);
      const [service = '', instance, ...rest] = subject.split('/');
      if (service === '' || instance === '' || rest.length > 0) {
        throw new CliUsageError(
          `${subject}: expected a service such as gs, or service/instance such as gs/gs-1`,
        );
      }
      const client = await context.client();
      const range = {
        service,
        ...(instance !== undefined && { instance }),
        since: String(options.since ?? moment('1h')),
        ...(options.until !== undefined && { until: String(options.until) }),
      };
      const history = await client.get(`/v1/history?${new URLSearchParams(range)}`, 'historySchema');
      const query = new URLSearchParams({ ...range, limit: String(EVENTS_SHOWN) });
      const { events } = await client.get(`/v1/events?${query}`, 'eventPageSchema');
      context.print({ ...history, events }, () => formatHistory(history, events, context.terminal));
    });
}

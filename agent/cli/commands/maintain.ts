import type { Command } from 'commander';
import { contextOf } from '../context.ts';
import { plural } from '../format.ts';
import { rollUpProgress } from '../progress.ts';

export function registerMaintain(program: Command): void {
  program
    .command('maintain')
    .description('roll up, drop what is older than the retention time, make partitions, vacuum and analyze')
    .option('-c, --config <file>', 'the configuration, for its retention')
    .addHelpText('after', '\nThe agent does this every night by itself.\n\nExample:\n  acgs-lb maintain')
    .action(async (options: { config?: string }, command: Command) => {
      const context = contextOf(command);
      const { loadCommandConfig, openCommandHistory } = await import('../history.ts');
      const { config } = await loadCommandConfig(command, options.config);
      const done = await context.progress(async (tell) => {
        tell('opening the history');
        const history = await openCommandHistory(command);
        try {
          const { maintain } = await import('../../history/maintenance/maintain.ts');
          return await maintain(history.database, {
            retentionMs: config.retention,
            now: Date.now() / 1000,
            onStep: tell,
            onRollUp: rollUpProgress(tell),
          });
        } finally {
          await history.close();
        }
      });
      const gone = Object.entries(done.deleted).filter(([, rows]) => rows > 0);
      context.print(done, () =>
        [
          `rolled up ${plural(done.rolledUp.hours, 'hour')} and ${plural(done.rolledUp.days, 'day')}`,
          `partitions made for ${done.partitionsAhead} days ahead`,
          done.dropped.length > 0
            ? `dropped ${plural(done.dropped.length, 'partition')} older than ${config.retention / 86_400_000} days, ${done.dropped[0]} to ${done.dropped.at(-1)}`
            : `no partition is older than ${config.retention / 86_400_000} days`,
          ...gone.map(([table, rows]) => `deleted ${plural(rows, 'old row')} of ${table}`),
          `vacuumed and analyzed ${done.vacuumed.length} tables`,
          ...(done.rolledUp.uncounted ? [`left out: ${done.rolledUp.uncounted}`] : []),
        ].join('\n'),
      );
    });
}

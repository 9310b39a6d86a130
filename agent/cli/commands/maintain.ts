import type { Command } from 'commander';
import { STACK_CONFIG_DESCRIPTION } from '../config-path.ts';
import { contextOf } from '../context.ts';
import { plural } from '../format.ts';
import { rollUpProgress } from '../progress.ts';

export function registerMaintain(program: Command): void {
  program
    .command('maintain')
    .description('maintain the history: roll up, drop old partitions, create new ones, vacuum and analyze')
    .option('-c, --config <file>', `${STACK_CONFIG_DESCRIPTION}; gives the retention`)
    .addHelpText('after', '\nThe agent runs this every night.\n\nExample:\n  acgs-lb maintain')
    .action(async (options: { config?: string }, command: Command) => {
      const context = contextOf(command);
      const { loadCommandConfig, openCommandHistory } = await import('../history.ts');
      const { config } = await loadCommandConfig(command, options.config);
      const done = await context.progress(async (report) => {
        report('opening the history');
        const history = await openCommandHistory(command, config);
        try {
          const { maintain } = await import('../../history/maintenance/maintain.ts');
          return await maintain(history.database, {
            retentionMs: config.retention,
            now: Date.now() / 1000,
            onStep: report,
            onRollUp: rollUpProgress(report),
          });
        } finally {
          await history.close();
        }
      });
      const deleted = Object.entries(done.deleted).filter(([, rows]) => rows > 0);
      context.print(done, () =>
        [
          `rolled up ${plural(done.rolledUp.hours, 'hour')} and ${plural(done.rolledUp.days, 'day')}`,
          `partitions exist for the next ${done.partitionsAhead} days`,
          done.dropped.length > 0
            ? `dropped ${plural(done.dropped.length, 'partition')} older than ${config.retention / 86_400_000} days, ${done.dropped[0]} to ${done.dropped.at(-1)}`
            : `no partition is older than ${config.retention / 86_400_000} days`,
          ...deleted.map(([table, rows]) => `deleted ${plural(rows, 'old row')} from ${table}`),
          `vacuumed and analyzed ${done.vacuumed.length} tables`,
          ...(done.rolledUp.uncounted ? [`skipped: ${done.rolledUp.uncounted}`] : []),
        ].join('\n'),
      );
    });
}

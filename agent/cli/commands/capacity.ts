import { type Command, InvalidArgumentError } from 'commander';
import { STACK_CONFIG_DESCRIPTION } from '../config-path.ts';
import { contextOf } from '../context.ts';

export function registerCapacity(program: Command): void {
  program
    .command('capacity')
    .description('review the capacity of each service in a month and forecast the next three months')
    .option(
      '-m, --month <month>',
      'month to review, 01 to 12; the most recent one (default: the current month)',
      month,
    )
    .option('-c, --config <file>', `${STACK_CONFIG_DESCRIPTION}; gives maxconn`)
    .addHelpText(
      'after',
      '\nExamples:\n  acgs-lb capacity --month 12\n  acgs-lb capacity --month $(date +%m) --json',
    )
    .action(async (options: { month?: number; config?: string }, command: Command) => {
      const context = contextOf(command);
      const { loadCommandConfig, openCommandHistory } = await import('../history.ts');
      const { rollUpBeforeReport } = await import('./report.ts');
      const { config } = await loadCommandConfig(command, options.config);
      const capacity = await context.progress(async (report) => {
        report('opening the history');
        const history = await openCommandHistory(command, config);
        try {
          await rollUpBeforeReport(context, history.database, report);
          report('reading a year of history');
          const { readCapacity } = await import('../../reports/read-capacity.ts');
          const now = Math.floor(Date.now() / 1000);
          const month = options.month ?? new Date(now * 1000).getUTCMonth() + 1;
          const onService = (done: number, total: number) => report('forecasting', done, total, 'services');
          return await readCapacity(history.database, { config, month, now, onService });
        } finally {
          await history.close();
        }
      });
      const { formatCapacity } = await import('../capacity-text.ts');
      context.print(capacity, () => formatCapacity(capacity, context.terminal));
      // No service has a forecast: the output gives the reasons.
      if (capacity.services.every(({ refused }) => refused !== undefined)) process.exitCode = 1;
    });
}

function month(text: string): number {
  if (!/^(0?[1-9]|1[0-2])$/.test(text)) throw new InvalidArgumentError('Expected 01 to 12.');
  return Number(text);
}

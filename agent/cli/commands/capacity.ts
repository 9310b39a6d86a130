import { type Command, InvalidArgumentError } from 'commander';
import { contextOf } from '../context.ts';

export function registerCapacity(program: Command): void {
  program
    .command('capacity')
    .description('how full each service was in a month, and when the next three will exhaust it')
    .option('-m, --month <month>', 'the latest such month is reviewed: 01 to 12 (default: this one)', month)
    .option('-c, --config <file>', 'the configuration, for maxconn')
    .addHelpText(
      'after',
      '\nExamples:\n  acgs-lb capacity --month 12\n  acgs-lb capacity --month $(date +%m) --json',
    )
    .action(async (options: { month?: number; config?: string }, command: Command) => {
      const context = contextOf(command);
      const { loadCommandConfig, openCommandHistory } = await import('../history.ts');
      const { rollUpBeforeReport } = await import('./report.ts');
      const { config } = await loadCommandConfig(command, options.config);
      const capacity = await context.progress(async (tell) => {
        tell('opening the history');
        const history = await openCommandHistory(command);
        try {
          await rollUpBeforeReport(context, history.database, tell);
          tell('reading a year of hours');
          const { readCapacity } = await import('../../reports/read-capacity.ts');
          const now = Math.floor(Date.now() / 1000);
          const month = options.month ?? new Date(now * 1000).getUTCMonth() + 1;
          const onService = (done: number, total: number) => tell('forecasting', done, total, 'services');
          return await readCapacity(history.database, { config, month, now, onService });
        } finally {
          await history.close();
        }
      });
      const { capacityText } = await import('../capacity-text.ts');
      context.print(capacity, () => capacityText(capacity, context.terminal));
      // Nothing could be forecast at all: the reasons are printed, the exit code says so too.
      if (capacity.services.every(({ refused }) => refused !== undefined)) process.exitCode = 1;
    });
}

function month(text: string): number {
  if (!/^(0?[1-9]|1[0-2])$/.test(text)) throw new InvalidArgumentError('01 to 12.');
  return Number(text);
}

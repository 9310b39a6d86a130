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
      const { configOf, openHistoryFor } = await import('../history.ts');
      const { bringUpToDate } = await import('./report.ts');
      const { config } = await configOf(command, options.config);
      const history = await openHistoryFor(command);
      try {
        await bringUpToDate(context, history.database);
        const { readCapacity } = await import('../../reports/read-capacity.ts');
        const { capacityText } = await import('../../reports/capacity-text.ts');
        const now = Math.floor(Date.now() / 1000);
        const chosen = options.month ?? new Date(now * 1000).getUTCMonth() + 1;
        const capacity = await readCapacity(history.database, { config, month: chosen, now });
        context.print(capacity, () => capacityText(capacity, context.terminal));
        // Nothing could be forecast at all: the reasons are printed, the exit code says so too.
        if (capacity.services.every(({ refused }) => refused !== undefined)) process.exitCode = 1;
      } finally {
        await history.close();
      }
    });
}

function month(text: string): number {
  if (!/^(0?[1-9]|1[0-2])$/.test(text)) throw new InvalidArgumentError('01 to 12.');
  return Number(text);
}

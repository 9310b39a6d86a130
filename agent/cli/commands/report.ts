import { writeFile } from 'node:fs/promises';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Database } from '../../history/sql/database.ts';
import type { Report } from '../../reports/report.ts';
import { STACK_CONFIG_DESCRIPTION } from '../config-path.ts';
import { type CommandContext, contextOf } from '../context.ts';
import { CommandFailed } from '../errors.ts';
import { plural } from '../format.ts';
import { type ReportProgress, rollUpProgress } from '../progress.ts';

const FORMATS = ['table', 'json', 'csv', 'html'] as const;
type Format = (typeof FORMATS)[number];

interface ReportCommandOptions {
  days: number;
  format?: Format;
  output?: string;
  config?: string;
}

export function registerReport(program: Command): void {
  program
    .command('report')
    .description('report on the last days: latency, availability, error budget, traffic, incidents, breakers')
    .option('-d, --days <n>', 'number of days, 1 to 400', days, 7)
    .addOption(new Option('-f, --format <format>', 'output format').choices(FORMATS))
    .option('-o, --output <file>', 'output file; the extension .html, .csv or .json sets the format')
    .option('-c, --config <file>', `${STACK_CONFIG_DESCRIPTION}; gives the targets`)
    .addHelpText(
      'after',
      '\nExamples:\n  acgs-lb report --days 7\n  acgs-lb report --days 30 -o report.html\n  acgs-lb report --format csv > report.csv',
    )
    .action(async (options: ReportCommandOptions, command: Command) => {
      const context = contextOf(command);
      const { loadCommandConfig, openCommandHistory } = await import('../history.ts');
      const { config } = await loadCommandConfig(command, options.config);
      const report = await context.progress(async (report) => {
        report('opening the history');
        const history = await openCommandHistory(command);
        try {
          await rollUpBeforeReport(context, history.database, report);
          report(`reading ${plural(options.days, 'day')} of history`);
          const { readReport, targetsOf } = await import('../../reports/read.ts');
          return await readReport(history.database, {
            days: options.days,
            now: Math.floor(Date.now() / 1000),
            site: config.site.id,
            targets: targetsOf(config),
          });
        } finally {
          await history.close();
        }
      });
      await deliver(context, options, report);
    });
}

/** Rolls up the newest history. With a read-only role it only warns that the newest hours can be missing. */
export async function rollUpBeforeReport(
  { terminal }: CommandContext,
  database: Database,
  report: ReportProgress,
): Promise<void> {
  const { rollUp } = await import('../../history/rollups/run.ts');
  try {
    const { uncounted } = await rollUp(database, { onProgress: rollUpProgress(report) });
    if (uncounted) terminal.error(`incomplete: ${uncounted}`);
  } catch (cause) {
    const { code, message } = cause as Error & { code?: string };
    if (code === '42P01')
      throw new CommandFailed('the database has no schema yet: run acgs-lb migrate', { cause });
    if (code !== '42501' && code !== '25006') throw cause;
    terminal.error(`roll-up failed, the newest hours may be missing: ${message}`);
  }
}

async function deliver(
  context: CommandContext,
  { format, output }: ReportCommandOptions,
  report: Report,
): Promise<void> {
  const chosen = format ?? formatOf(output) ?? (context.json ? 'json' : 'table');
  const text = await textOf(chosen, context, report);
  if (!output) return context.terminal.write(text);
  await writeFile(output, text).catch((cause: Error) => {
    throw new CommandFailed(`cannot write ${output}: ${cause.message}`, { cause });
  });
  context.terminal.error(
    `${chosen} report of ${plural(report.services.length, 'service')} written to ${output}`,
  );
}

async function textOf(format: Format, { terminal }: CommandContext, report: Report): Promise<string> {
  switch (format) {
    case 'json':
      return JSON.stringify(report, null, 2);
    case 'csv':
      return (await import('../../reports/csv.ts')).reportCsv(report);
    case 'html':
      return (await import('../../reports/html/page.ts')).reportPage(report);
    case 'table':
      return (await import('../report-text.ts')).formatReport(report, terminal);
  }
}

const formatOf = (output: string | undefined): Format | undefined =>
  FORMATS.find((format) => output?.endsWith(`.${format}`));

function days(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 400)
    throw new InvalidArgumentError('Expected a whole number from 1 to 400.');
  return value;
}

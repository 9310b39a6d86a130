import { writeFile } from 'node:fs/promises';
import { extname } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Database } from '../../history/sql/database.ts';
import { formatDuration } from '../../reports/format.ts';
import type { Report } from '../../reports/report.ts';
import { STACK_CONFIG_DESCRIPTION } from '../config-path.ts';
import { type CommandContext, contextOf } from '../context.ts';
import { CliUsageError, CommandFailed } from '../errors.ts';
import { plural } from '../format.ts';
import { type ReportProgress, rollUpProgress } from '../progress.ts';
import { withSinceUntil } from '../time-options.ts';

const FORMATS = ['table', 'json', 'csv', 'html'] as const;
type Format = (typeof FORMATS)[number];

interface ReportCommandOptions {
  days?: number;
  since?: number;
  until?: number;
  format?: Format;
  output?: string;
  config?: string;
}

export function registerReport(program: Command): void {
  const command = program
    .command('report')
    .description(
      'report on the last days or hours: latency, availability, error budget, traffic, incidents, breakers',
    )
    .option('-d, --days <n>', 'number of days, 1 to 400 (default: 7)', days);
  withSinceUntil(command, 'start instead of --days; a duration such as 1h (that long ago) or a time')
    .addOption(new Option('-f, --format <format>', 'output format').choices(FORMATS))
    .option('-o, --output <file>', 'output file; the extension .html, .csv, .json or .txt sets the format')
    .option('-c, --config <file>', `${STACK_CONFIG_DESCRIPTION}; gives the targets`)
    .addHelpText(
      'after',
      '\nExamples:\n  acgs-lb report --days 7\n  acgs-lb report --since 1h\n  acgs-lb report --days 30 -o report.html\n  acgs-lb report --format csv > report.csv',
    )
    .action(async (options: ReportCommandOptions, command: Command) => {
      const context = contextOf(command);
      const range = rangeOf(options);
      const format = options.format ?? formatOf(options.output) ?? (context.json ? 'json' : 'table');
      const { loadCommandConfig, openCommandHistory } = await import('../history.ts');
      const { config } = await loadCommandConfig(command, options.config);
      const report = await context.progress(async (report) => {
        report('opening the history');
        const history = await openCommandHistory(command, config);
        try {
          await rollUpBeforeReport(context, history.database, report);
          report(`reading ${formatDuration(range.to - range.from)} of history`);
          const { readReport, targetsOf } = await import('../../reports/read.ts');
          return await readReport(history.database, {
            ...range,
            now: Math.floor(Date.now() / 1000),
            targets: targetsOf(config),
          });
        } finally {
          await history.close();
        }
      });
      await deliver(context, { format, output: options.output }, report);
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
  { format, output }: { format: Format; output: string | undefined },
  report: Report,
): Promise<void> {
  const text = await textOf(format, context, report);
  if (!output) return context.terminal.write(text);
  await writeFile(output, text).catch((cause: Error) => {
    throw new CommandFailed(`cannot write ${output}: ${cause.message}`, { cause });
  });
  context.terminal.error(
    `${format} report of ${plural(report.services.length, 'service')} written to ${output}`,
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

const DEFAULT_DAYS = 7;
const MAX_SECONDS = 400 * 86_400;

/** Epoch seconds. */
function rangeOf({ days, since, until }: ReportCommandOptions): { from: number; to: number } {
  if (days !== undefined && (since !== undefined || until !== undefined)) {
    throw new CliUsageError('--days: cannot be combined with --since or --until');
  }
  const now = Date.now();
  const to = Math.floor(Math.min(until ?? now, now) / 1000);
  if (until !== undefined && since === undefined) throw new CliUsageError('--until: needs --since');
  const from = since === undefined ? to - (days ?? DEFAULT_DAYS) * 86_400 : Math.floor(since / 1000);
  if (to - from < 60 || to - from > MAX_SECONDS) {
    throw new CliUsageError('--since: expected a period of 1m to 400d before --until');
  }
  return { from, to };
}

const FORMAT_OF_EXTENSION: Readonly<Record<string, Format>> = {
  '.html': 'html',
  '.csv': 'csv',
  '.json': 'json',
  '.txt': 'table',
};

/** The format that the extension of the file names; undefined without a file. Throws CliUsageError. */
function formatOf(output: string | undefined): Format | undefined {
  if (output === undefined) return undefined;
  const format = FORMAT_OF_EXTENSION[extname(output)];
  if (format) return format;
  const known = Object.keys(FORMAT_OF_EXTENSION).join(', ');
  throw new CliUsageError(`--output: ${output} must end in one of ${known}, unless --format is given`);
}

function days(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 400)
    throw new InvalidArgumentError('Expected a whole number from 1 to 400.');
  return value;
}

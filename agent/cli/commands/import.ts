import { readFile, writeFile } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import { hideHaproxySecrets } from '../../../shared/config/haproxy-secrets.ts';
import type { ImportedLine, LineFate } from '../../haproxy/import/file/report.ts';
import type { CheckedProposal } from '../../haproxy/import/import-file.ts';
import { type CommandContext, contextOf } from '../context.ts';
import { CliUsageError, CommandFailed } from '../errors.ts';
import { plural } from '../format.ts';

interface ImportCommandOptions {
  mode: 'whole' | 'beside';
  out?: string;
  cfgOut?: string;
  force?: boolean;
}

/** Larger than any real configuration. HAProxy itself has no limit. */
const MAX_BYTES = 256 * 1024;

export function registerImport(program: Command): void {
  program
    .command('import <file>')
    .description('propose an acgs-lb.yaml for an existing HAProxy configuration')
    .addOption(
      new Option(
        '--mode <mode>',
        'whole: acgs-lb writes the whole HAProxy configuration; beside: your file keeps its frontends',
      )
        .choices(['whole', 'beside'])
        .default('whole'),
    )
    .option(
      '--out <file>',
      'write the proposal to this file and print the report (default: print the proposal)',
    )
    .option('--cfg-out <file>', 'with --mode beside: write your file without the backends that move')
    .option('--force', 'overwrite existing files')
    .addHelpText(
      'after',
      '\nThe report says for each line whether it was taken over, kept verbatim, or is\nnot possible, and why. Without --out the report goes to standard error.\nThe command changes neither HAProxy nor its file.\n\nExamples:\n  acgs-lb import /etc/haproxy/haproxy.cfg --out acgs-lb.yaml\n  acgs-lb import /etc/haproxy/haproxy.cfg --mode beside --out acgs-lb.yaml \\\n    --cfg-out 10-haproxy.cfg',
    )
    .action(async (file: string, options: ImportCommandOptions, command: Command) => {
      const context = contextOf(command);
      if (options.cfgOut !== undefined && options.mode !== 'beside') {
        throw new CliUsageError(
          '--cfg-out requires --mode beside; with --mode whole the agent writes the whole file',
        );
      }
      const text = await readInput(file);
      const { importConfig } = await import('../../haproxy/import/import-file.ts');
      const proposal = await context.progress((report) => {
        report('reading, and checking with haproxy -c');
        return importConfig(text, { mode: options.mode, fileName: file });
      });
      if (proposal.yaml === null) {
        process.stderr.write(`${reportText(proposal, file, context)}\n`);
        throw new CommandFailed(`${file} has no HTTP backend that can be a service; nothing was written`);
      }
      await writeFiles(proposal.yaml, proposal, options);
      print(context, proposal, { file, options });
      if (proposal.haproxyError && !lacksFilesOnly(proposal.haproxyError)) process.exitCode = 1;
    });
}

async function readInput(file: string): Promise<string> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (cause) {
    throw new CliUsageError(`cannot read ${file}: ${(cause as NodeJS.ErrnoException).code}`, { cause });
  }
  if (bytes.length > MAX_BYTES) {
    throw new CliUsageError(`${file} has ${bytes.length} bytes; expected at most ${MAX_BYTES}`);
  }
  return bytes.toString('utf8');
}

async function writeFiles(
  yaml: string,
  { ownFile }: CheckedProposal,
  options: ImportCommandOptions,
): Promise<void> {
  const files: [string, string][] = [];
  if (options.out !== undefined) files.push([options.out, yaml]);
  if (options.cfgOut !== undefined && ownFile !== null) files.push([options.cfgOut, ownFile]);
  for (const [path, content] of files) {
    try {
      // The operator's file may contain passwords.
      await writeFile(path, content, { mode: 0o600, flag: options.force ? 'w' : 'wx' });
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      if (code === 'EEXIST') throw new CliUsageError(`${path} exists; overwrite it with --force`, { cause });
      throw new CliUsageError(`cannot write ${path}: ${code}`, { cause });
    }
  }
}

function print(
  context: CommandContext,
  proposal: CheckedProposal,
  { file, options }: { file: string; options: ImportCommandOptions },
): void {
  const { yaml, ownFile, haproxyError } = proposal;
  // The report may be kept in logs, so it hides passwords. The proposed files keep them.
  const lines = proposal.lines.map((one) => ({ ...one, text: hideHaproxySecrets(one.text) }));
  const text = reportText({ ...proposal, lines }, file, context);
  if (context.json) context.print({ yaml, ownFile, lines, counts: countsOf(lines), haproxyError }, () => '');
  else if (options.out !== undefined) context.print(null, () => text);
  else {
    context.print(null, () => yaml ?? '');
    process.stderr.write(`${text}\n`);
  }
}

const NAMES: Readonly<Record<LineFate, string>> = {
  taken: 'taken over',
  verbatim: 'verbatim',
  cannot: 'not possible',
};
const STYLES = { taken: 'green', verbatim: 'dim', cannot: 'red' } as const;

const countsOf = (lines: readonly ImportedLine[]): Record<LineFate, number> => ({
  taken: lines.filter(({ fate }) => fate === 'taken').length,
  verbatim: lines.filter(({ fate }) => fate === 'verbatim').length,
  cannot: lines.filter(({ fate }) => fate === 'cannot').length,
});

function reportText(
  { yaml, lines, haproxyError }: CheckedProposal,
  file: string,
  { terminal }: CommandContext,
): string {
  const counts = countsOf(lines);
  const rows = lines.map(({ line, text, fate, note }) => {
    const shown = text.length > 60 ? `${text.slice(0, 59)}…` : text;
    return `${String(line).padStart(5)}  ${terminal.paint(STYLES[fate], NAMES[fate].padEnd(12))}  ${shown}\n${' '.repeat(21)}${terminal.paint('dim', `→ ${note}`)}`;
  });
  const summary = `${file}: ${plural(lines.length, 'line')}: ${counts.taken} taken over, ${counts.verbatim} verbatim, ${counts.cannot} not possible`;
  return [...rows, '', summary, ...(yaml === null ? [] : [haproxyText(haproxyError)])].join('\n');
}

/** Certificates, error pages and scripts that exist on HAProxy's host only. */
const lacksFilesOnly = (error: string): boolean => {
  const alerts = error.split('\n').filter((line) => line.startsWith('[ALERT]'));
  return alerts.length > 0 && alerts.every((line) => MISSING_FILE.test(line));
};

const MISSING_FILE = /no such file|error opening file|failed to open|cannot open|permission denied/i;

function haproxyText(error: string | null | undefined): string {
  if (error === undefined)
    return 'HAProxy is not installed here: the proposal is not checked with haproxy -c';
  if (error === null) return 'haproxy -c accepts the proposal';
  return lacksFilesOnly(error)
    ? `This machine lacks files that the configuration names. Run the command on HAProxy's host.\n${error}`
    : `haproxy -c does not accept the proposal yet:\n${error}`;
}

import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { makeFolder } from '../../lib/make-folder.ts';
import { STACK_CONFIG_DESCRIPTION } from '../config-path.ts';
import { type CommandContext, contextOf } from '../context.ts';
import { CliUsageError, CommandFailed } from '../errors.ts';
import { toMiB } from '../progress.ts';

interface BackupOptions {
  output: string;
  config?: string;
  envFile?: string;
  only?: 'config' | 'database';
}

interface Backup {
  command: Command;
  context: CommandContext;
  options: BackupOptions;
  folder: string;
  now: Date;
}

const ENV_FILES = ['/etc/acgs-lb/agent.env', '.env.production', '.env'];

export function registerBackup(program: Command): void {
  program
    .command('backup')
    .description('back up configuration and history into two files that only the owner can read')
    .option('-o, --output <folder>', 'output folder', '.')
    .option('-c, --config <file>', STACK_CONFIG_DESCRIPTION)
    .option(
      '--env-file <file>',
      `environment file of the agent (default: first existing of ${ENV_FILES.join(', ')})`,
    )
    .addOption(
      new Option('--only <part>', 'back up only config or only database').choices(['config', 'database']),
    )
    .addHelpText(
      'after',
      `
Creates acgs-lb-config-YYYYMMDD.tar.gz and acgs_lb_backup_YYYYMMDD.sql. Both
files contain secrets or sensitive data. The configuration backup contains the
environment file. With --env-file, its variables, such as DATABASE_URL, also
apply to this command unless they are set already.

Example:
  acgs-lb backup -o /var/backups/acgs-lb`,
    )
    .action(async (options: BackupOptions, command: Command) => {
      const context = contextOf(command);
      if (options.envFile !== undefined) loadEnvFile(options.envFile);
      const folder = resolve(options.output);
      try {
        makeFolder(folder, 0o700);
      } catch (cause) {
        throw new CommandFailed(`cannot make ${folder}: ${(cause as Error).message}`, { cause });
      }
      const backup: Backup = { command, context, options, folder, now: new Date() };
      const config = options.only === 'database' ? null : await backUpConfig(backup);
      const database = options.only === 'config' ? null : await backUpDatabase(backup);
      context.print({ ...config?.data, ...database?.data }, () =>
        [...(config?.lines ?? []), ...(database?.lines ?? [])].join('\n'),
      );
    });
}

function loadEnvFile(file: string): void {
  try {
    process.loadEnvFile(file);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new CliUsageError(`--env-file ${file} cannot be read: ${code}`, { cause });
  }
}

async function backUpConfig({ command, context, options, folder, now }: Backup) {
  const { backupConfig } = await import('../../history/maintenance/backup.ts');
  const { loadCommandConfig, stateDirOf } = await import('../history.ts');
  const { registryPath } = await import('../../registry/registry.ts');
  const { file, config } = await loadCommandConfig(command, options.config);
  const env = options.envFile ?? ENV_FILES.find((path) => existsSync(path));
  const files = {
    'acgs-lb.yaml': resolve(file),
    'haproxy.cfg': config.haproxy.file,
    'haproxy-files': join(config.haproxy.file, '..', 'acgs-lb'),
    ...(env && { 'environment.env': resolve(env) }),
    'registry.json': registryPath(stateDirOf(command)),
  };
  const backup = await context.progress((report) => {
    report('packing the configuration');
    return backupConfig({ site: config.site.id, folder, now, files });
  });
  const contents = backup.manifest.files.map(({ path }) => path);
  return {
    data: { config: backup.file, contents },
    lines: [
      backup.file,
      ...contents.map((path) => `  ${path}`),
      ...(env ? [] : ['  no environment file found; give it with --env-file']),
    ],
  };
}

async function backUpDatabase({ command, context, options, folder, now }: Backup) {
  const { backupDatabase } = await import('../../history/maintenance/backup.ts');
  const { loadCommandConfig, openCommandHistory } = await import('../history.ts');
  const { config } = await loadCommandConfig(command, options.config);
  const backup = await context.progress(async (report) => {
    report('opening the history');
    const history = await openCommandHistory(command, config);
    try {
      report('writing the history');
      const onRows = (done: number, total: number) => report('writing the history', done, total, 'rows');
      const onBytes = (done: number) => report(`writing the history: ${toMiB(done)} MiB`);
      return await backupDatabase({ ...history, folder, now, onRows, onBytes });
    } finally {
      await history.close();
    }
  });
  return {
    data: { database: backup.file, by: backup.by },
    lines: [`${backup.file} (by ${backup.by}${backup.why ? `: ${backup.why}` : ''})`],
  };
}

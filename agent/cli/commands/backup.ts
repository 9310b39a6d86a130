import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { makeFolder } from '../../lib/make-folder.ts';
import { contextOf } from '../context.ts';
import { CliUsageError, CommandFailed } from '../errors.ts';
import { toMiB } from '../progress.ts';

interface BackupOptions {
  output: string;
  config?: string;
  envFile?: string;
  only?: 'config' | 'database';
}

const ENV_FILES = ['/etc/acgs-lb/agent.env', '.env.production', '.env'];

/** It is kept in the backup, and tells where the history is, unless the environment here does. */
function readEnvironment(file: string): void {
  try {
    process.loadEnvFile(file);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new CliUsageError(`--env-file ${file} cannot be read: ${code}`, { cause });
  }
}

export function registerBackup(program: Command): void {
  program
    .command('backup')
    .description('configuration and history, each into one file that only you can read')
    .option('-o, --output <folder>', 'where to', '.')
    .option('-c, --config <file>', 'the configuration')
    .option('--env-file <file>', `the environment file (default: the first of ${ENV_FILES.join(', ')})`)
    .addOption(new Option('--only <part>', 'config or database').choices(['config', 'database']))
    .addHelpText(
      'after',
      '\nMakes acgs-lb-config-YYYYMMDD.tar.gz and acgs_lb_backup_YYYYMMDD.sql. Both hold secrets or what is worth as much.\n\nExample:\n  acgs-lb backup -o /var/backups/acgs-lb',
    )
    .action(async (options: BackupOptions, command: Command) => {
      const context = contextOf(command);
      const { backupConfig, backupDatabase } = await import('../../history/maintenance/backup.ts');
      const { loadCommandConfig, openCommandHistory, stateDirOf } = await import('../history.ts');
      const { registryPath } = await import('../../registry/registry.ts');
      if (options.envFile !== undefined) readEnvironment(options.envFile);
      const folder = resolve(options.output);
      try {
        makeFolder(folder, 0o700);
      } catch (cause) {
        throw new CommandFailed(`cannot make ${folder}: ${(cause as Error).message}`, { cause });
      }
      const now = new Date();
      const made: { config?: string; contents?: string[]; database?: string; by?: string } = {};
      const lines: string[] = [];
      if (options.only !== 'database') {
        const { file, config } = await loadCommandConfig(command, options.config);
        const env = options.envFile ?? ENV_FILES.find((path) => existsSync(path));
        const haproxy = config.haproxy.file;
        const files = {
          'acgs-lb.yaml': resolve(file),
          'haproxy.cfg': haproxy,
          'haproxy-files': join(haproxy, '..', 'acgs-lb'),
          ...(env && { 'environment.env': resolve(env) }),
          'registry.json': registryPath(stateDirOf(command)),
        };
        const backup = await context.progress((tell) => {
          tell('packing the configuration');
          return backupConfig({ site: config.site.id, folder, now, files });
        });
        made.config = backup.file;
        made.contents = backup.manifest.files.map(({ path }) => path);
        lines.push(`${backup.file}`, ...made.contents.map((path) => `  ${path}`));
        if (!env) lines.push('  no environment file found: give it with --env-file');
      }
      if (options.only !== 'config') {
        const backup = await context.progress(async (tell) => {
          tell('opening the history');
          const history = await openCommandHistory(command);
          try {
            tell('writing the history');
            const onRows = (done: number, total: number) => tell('writing the history', done, total, 'rows');
            const onBytes = (done: number) => tell(`writing the history: ${toMiB(done)} MiB`);
            return await backupDatabase({ ...history, folder, now, onRows, onBytes });
          } finally {
            await history.close();
          }
        });
        made.database = backup.file;
        made.by = backup.by;
        lines.push(`${backup.file} (by ${backup.by}${backup.why ? `: ${backup.why}` : ''})`);
      }
      context.print(made, () => lines.join('\n'));
    });
}

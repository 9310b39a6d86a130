import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import type { Command } from 'commander';
import { STACK_CONFIG_DESCRIPTION } from '../config-path.ts';
import { contextOf } from '../context.ts';
import { CliUsageError, CommandFailed } from '../errors.ts';
import { type ReportProgress, toMiB } from '../progress.ts';

interface RestoreOptions {
  root: string;
  overwrite?: boolean;
  config?: string;
}

export function registerRestore(program: Command): void {
  program
    .command('restore')
    .description('restore backups: files to their original paths, rows into an empty database')
    .argument('<file...>', 'acgs-lb-config-….tar.gz, acgs_lb_backup_….sql, or both')
    .option('--root <folder>', 'restore files below this folder', '/')
    .option('--overwrite', 'replace existing files')
    .option('-c, --config <file>', `${STACK_CONFIG_DESCRIPTION}; rows of old backups get its site`)
    .addHelpText(
      'after',
      '\nExample, on a new machine:\n  acgs-lb restore acgs-lb-config-20261124.tar.gz\n  acgs-lb migrate --init --admin-url …\n  acgs-lb restore acgs_lb_backup_20261124.sql',
    )
    .action(async (files: string[], options: RestoreOptions, command: Command) => {
      const context = contextOf(command);
      const wrong = files.filter((file) => !/\.(tar\.gz|tgz|sql)$/.test(file));
      if (wrong.length > 0) throw new CliUsageError(`expected .tar.gz or .sql files: ${wrong.join(', ')}`);
      const missing = files.filter((file) => !existsSync(file));
      if (missing.length > 0) throw new CliUsageError(`file not found: ${missing.join(', ')}`);
      const { restoreConfig, restoreDatabase, RestoreError } = await import(
        '../../history/maintenance/restore.ts'
      );
      const { loadCommandConfig, openCommandHistory } = await import('../history.ts');
      const done: { file: string; written?: string[]; by?: string; statements?: number }[] = [];
      const restoreOne = async (file: string, report: ReportProgress) => {
        if (!file.endsWith('.sql')) {
          report(`unpacking ${basename(file)}`);
          const { manifest, written } = await restoreConfig(file, options);
          done.push({ file, written });
          context.terminal.error(`${file}: created ${manifest.createdAt} for site ${manifest.site}`);
          return;
        }
        const step = `replaying ${basename(file)}`;
        report('opening the history');
        const { config } = await loadCommandConfig(command, options.config);
        const history = await openCommandHistory(command, config, { create: true });
        try {
          if (history.shared) {
            throw new RestoreError('a running agent uses this embedded database; stop the agent first');
          }
          report(step);
          const onBytes = (read: number, size: number) => report(step, toMiB(read), toMiB(size), 'MiB');
          done.push({ file, ...(await restoreDatabase(file, { ...history, onBytes })) });
        } finally {
          await history.close();
        }
      };
      try {
        await context.progress(async (report) => {
          for (const file of files) await restoreOne(file, report);
        });
      } catch (cause) {
        if (cause instanceof RestoreError) throw new CommandFailed(cause.message, { cause });
        throw cause;
      }
      context.print(done, () =>
        done
          .map(({ file, written, by }) => (written ? written.join('\n') : `${file} restored by ${by}`))
          .join('\n'),
      );
    });
}

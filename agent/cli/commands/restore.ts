import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import type { Command } from 'commander';
import { contextOf } from '../context.ts';
import { CliUsageError, CommandFailed } from '../errors.ts';
import { type ReportProgress, toMiB } from '../progress.ts';

interface RestoreOptions {
  root: string;
  overwrite?: boolean;
}

export function registerRestore(program: Command): void {
  program
    .command('restore')
    .description('put a backup back: files to where they were, rows into an empty database')
    .argument('<file...>', 'acgs-lb-config-….tar.gz, acgs_lb_backup_….sql, or both')
    .option('--root <folder>', 'below this folder instead of /', '/')
    .option('--overwrite', 'replace files that are there')
    .addHelpText(
      'after',
      '\nExample, on a new machine:\n  acgs-lb restore acgs-lb-config-20261124.tar.gz\n  acgs-lb migrate --init --admin-url … && acgs-lb restore acgs_lb_backup_20261124.sql',
    )
    .action(async (files: string[], options: RestoreOptions, command: Command) => {
      const context = contextOf(command);
      const wrong = files.filter((file) => !/\.(tar\.gz|tgz|sql)$/.test(file));
      if (wrong.length > 0) throw new CliUsageError(`neither .tar.gz nor .sql: ${wrong.join(', ')}`);
      const missing = files.filter((file) => !existsSync(file));
      if (missing.length > 0) throw new CliUsageError(`there is no such file: ${missing.join(', ')}`);
      const { restoreConfig, restoreDatabase, RestoreError } = await import(
        '../../history/maintenance/restore.ts'
      );
      const { openCommandHistory } = await import('../history.ts');
      const done: { file: string; written?: string[]; by?: string; statements?: number }[] = [];
      const one = async (file: string, tell: ReportProgress) => {
        if (!file.endsWith('.sql')) {
          tell(`unpacking ${basename(file)}`);
          const { manifest, written } = await restoreConfig(file, options);
          done.push({ file, written });
          context.terminal.error(`${file}: made ${manifest.createdAt} for site ${manifest.site}`);
          return;
        }
        const step = `replaying ${basename(file)}`;
        tell('opening the history');
        const history = await openCommandHistory(command, { create: true });
        try {
          if (history.shared) {
            throw new RestoreError('an agent runs on this embedded database: stop it, then restore');
          }
          tell(step);
          const onBytes = (read: number, size: number) => tell(step, toMiB(read), toMiB(size), 'MiB');
          done.push({ file, ...(await restoreDatabase(file, { ...history, onBytes })) });
        } finally {
          await history.close();
        }
      };
      try {
        await context.progress(async (tell) => {
          for (const file of files) await one(file, tell);
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

import type { Command } from 'commander';
import { STACK_CONFIG_DESCRIPTION } from '../config-path.ts';
import { contextOf } from '../context.ts';
import { CliUsageError, CommandFailed } from '../errors.ts';

interface MigrateOptions {
  init?: boolean;
  adminUrl?: string;
  databaseUrl?: string;
  config?: string;
}

export function registerMigrate(program: Command): void {
  program
    .command('migrate')
    .description('migrate the history database to the latest schema and adopt tables of the original system')
    .option('--init', 'first create the database and the role, and grant the role its privileges')
    .option('--admin-url <url>', 'URL of a superuser, for --init (default: ADMIN_DATABASE_URL)')
    .option('--database-url <url>', 'URL of the database (default: DATABASE_URL, else the running stack)')
    .option('-c, --config <file>', `${STACK_CONFIG_DESCRIPTION}; rows without a site get its site`)
    .addHelpText(
      'after',
      '\nExamples:\n  acgs-lb migrate\n' +
        '  acgs-lb migrate --init --admin-url postgresql://postgres@localhost/postgres \\\n' +
        '    --database-url postgresql://acgs_lb_user:PASSWORD@localhost:5432/acgs_lb',
    )
    .action(async (options: MigrateOptions, command: Command) => {
      const context = contextOf(command);
      const { migrate, MigrationError } = await import('../../history/sql/migrate.ts');
      const { stateDir } = command.optsWithGlobals<{ stateDir?: string }>();
      const { loadCommandConfig } = await import('../history.ts');
      const { config } = await loadCommandConfig(command, options.config);
      const url = options.databaseUrl ?? (await findUrl(stateDir));
      try {
        const { created, applied, warnings } = await context.progress(async (report) => {
          report('migrating');
          const created = options.init ? await init(options, url) : [];
          return { created, ...(await migrate(url, config.site.id)) };
        });
        context.print({ made: created, applied, warnings }, () =>
          [
            ...created.map((name) => `created ${name}`),
            ...applied.map((name) => `applied ${name}`),
            ...(applied.length === 0 ? ['the schema is up to date'] : []),
            ...warnings.map((warning) => `note: ${warning}`),
          ].join('\n'),
        );
      } catch (error) {
        if (error instanceof MigrationError)
          throw new CommandFailed(`migrate: ${error.message}`, { cause: error });
        throw error;
      }
    });
}

async function findUrl(stateDir: string | undefined): Promise<string> {
  const { findDatabaseUrl } = await import('../../history/sql/find-database.ts');
  const folder = stateDir ?? process.env.ACGS_STATE_DIR ?? '.acgs';
  const url = findDatabaseUrl({ env: process.env, stateDir: folder });
  if (!url) throw new CommandFailed('no database found: set DATABASE_URL or give --database-url');
  return url;
}

async function init(options: MigrateOptions, url: string): Promise<string[]> {
  const adminUrl = options.adminUrl ?? process.env.ADMIN_DATABASE_URL;
  if (!adminUrl) {
    throw new CliUsageError(
      '--init needs the URL of a superuser: --admin-url postgresql://postgres@localhost/postgres',
    );
  }
  const { initialiseDatabase } = await import('../../history/sql/init.ts');
  return (await initialiseDatabase(adminUrl, url)).made;
}

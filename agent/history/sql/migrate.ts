import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import { errorMessage } from '../../../shared/error-message.ts';
import { connectPostgres } from './connect.ts';
import { postgresErrorHint } from './error-hints.ts';

interface MigrateResult {
  /** Names of the migrations that ran. */
  applied: string[];
  /** Warnings that the migrations raised for the operator. */
  warnings: string[];
}

export class MigrationError extends Error {
  override name = 'MigrationError';
}

/** The folder `migrations` beside this file, or beside the bundle. Throws MigrationError when it is missing. */
export function migrationsFolder(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  const folder = join(here, 'migrations');
  if (existsSync(folder)) return folder;
  throw new MigrationError(`the folder of SQL migrations is missing: ${folder}`);
}

/**
 * Migrates a database to the newest schema. Migrations are numbered, go forward only and run in one transaction; other
 * migrators wait for its lock. A database of the guide's original is adopted with its rows. Throws MigrationError, whose
 * message includes a hint. `site` gets the rows that exist without a site: those from before sites could share a database.
 */
export async function migrate(
  databaseUrl: string,
  site: string,
  options: { count?: number } = {},
): Promise<MigrateResult> {
  const { runner } = await import('node-pg-migrate');
  let client: pg.Client | undefined;
  const warnings: string[] = [];
  try {
    client = await connectPostgres(databaseUrl);
    await client.query("SELECT set_config('acgs_lb.site', $1, false)", [site]);
    client.on('notice', ({ severity, message }) => {
      if (severity === 'WARNING' && message) warnings.push(message);
    });
    const done = await runner({
      dbClient: client,
      dir: migrationsFolder(),
      direction: 'up',
      count: options.count ?? Number.POSITIVE_INFINITY,
      migrationsTable: 'acgs_lb_migrations',
      checkOrder: true,
      singleTransaction: true,
      advisoryLockMode: 'wait',
      logger: silent,
    });
    return { applied: done.map(({ name }) => name), warnings };
  } catch (cause) {
    throw new MigrationError(withHint(cause as Error), { cause });
  } finally {
    await client?.end().catch(() => {});
  }
}

const ignore = (): void => {};
const silent = { debug: ignore, info: ignore, warn: ignore, error: ignore };

function withHint(error: Error): string {
  // The runner puts the stack of some errors into the message; its first line is the original message.
  const message = errorMessage(error).split('\n', 1)[0] ?? '';
  const denied = message.includes('permission denied');
  return `${message}: ${postgresErrorHint(denied ? Object.assign(error, { code: '42501' }) : error)}`;
}

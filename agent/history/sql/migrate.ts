import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import { connectPostgres } from './connect.ts';
import { postgresErrorHint } from './error-hints.ts';

export interface MigrateResult {
  /** Names of the migrations that ran now. */
  applied: string[];
  /** What a person should know of what they did. */
  warnings: string[];
}

export class MigrationError extends Error {
  override name = 'MigrationError';
}

/** Beside this file in a checkout; beside the bundle in `migrations/` when built. */
export function migrationsFolder(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  const folder = join(here, 'migrations');
  if (existsSync(folder)) return folder;
  throw new MigrationError(`the folder of SQL migrations is missing: ${folder}`);
}

/**
 * Brings a database to the newest schema: numbered, forward-only, all in one transaction, one migrator at a time (others
 * wait for its lock). A database of the guide's original is taken over with its rows. Throws MigrationError.
 */
export async function migrate(databaseUrl: string, options: { count?: number } = {}): Promise<MigrateResult> {
  const { runner } = await import('node-pg-migrate');
  let client: pg.Client | undefined;
  const warnings: string[] = [];
  try {
    client = await connectPostgres(databaseUrl);
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
    throw new MigrationError(explain(cause as Error), { cause });
  } finally {
    await client?.end().catch(() => {});
  }
}

const ignore = (): void => {};
const silent = { debug: ignore, info: ignore, warn: ignore, error: ignore };

function explain(error: Error & { code?: string }): string {
  // The runner wraps some errors with the whole stack as text: its first line is the message.
  const message = (error.message || String(error.code ?? error)).split('\n', 1)[0] ?? '';
  const denied = message.includes('permission denied');
  return `${message}: ${postgresErrorHint(denied ? Object.assign(error, { code: '42501' }) : error)}`;
}

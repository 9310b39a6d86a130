import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import type { Config } from '../../shared/config/config.ts';
import { type Database, isEmbedded, openDatabase } from '../history/sql/database.ts';
import { postgresErrorHint } from '../history/sql/error-hints.ts';
import { findDatabaseUrl } from '../history/sql/find-database.ts';
import { loadConfigFile } from './config-file.ts';
import { resolveConfigPath } from './config-path.ts';
import { CommandFailed } from './errors.ts';

/** A direct connection to the history database, for the rows of one site. It works without a running agent. */
export interface OpenHistory {
  database: Database;
  url: string;
  embedded: boolean;
  /** This is the embedded database of a running agent. */
  shared: boolean;
  close(): Promise<void>;
}

/** Statements over a month of history can take minutes. */
const STATEMENT_MS = 600_000;

export const stateDirOf = (command: Command): string =>
  resolve(command.optsWithGlobals<{ stateDir?: string }>().stateDir ?? process.env.ACGS_STATE_DIR ?? '.acgs');

/**
 * Opens DATABASE_URL, else the running stack's Postgres, else the embedded database through a running agent, else the
 * embedded database files. Throws CommandFailed when there is no history or Postgres does not answer.
 */
export async function openCommandHistory(
  command: Command,
  { site }: Pick<Config, 'site'>,
  { create = false }: { create?: boolean } = {},
): Promise<OpenHistory> {
  const stateDir = stateDirOf(command);
  const url = findDatabaseUrl({ env: process.env, stateDir });
  if (url) {
    const database = openDatabase(url, site.id, { min: 0, max: 2, idle: 1_000 }, STATEMENT_MS);
    const failure = await database.query('SELECT 1').then(
      () => null,
      (error: Error) => error,
    );
    if (!failure) {
      const embedded = isEmbedded(url);
      return { database, url, embedded, shared: embedded, close: () => database.close() };
    }
    await database.close();
    // The address of an embedded database can be left over from a killed agent: then open its files below.
    if (!isEmbedded(url)) {
      const reason = failure.message || String(failure);
      throw new CommandFailed(`Postgres does not answer (${reason}): ${postgresErrorHint(failure)}`, {
        cause: failure,
      });
    }
  }
  const folder = join(stateDir, 'pglite');
  if (!create && !existsSync(folder)) {
    throw new CommandFailed(
      `no history found: DATABASE_URL is not set, and ${stateDir} holds neither a running stack nor an embedded database`,
    );
  }
  const { startEmbeddedPostgres } = await import('../history/sql/embedded.ts');
  const server = await startEmbeddedPostgres(folder);
  const database = openDatabase(server.url, site.id, { min: 0, max: 1, idle: 1_000 }, STATEMENT_MS);
  return {
    database,
    url: server.url,
    embedded: true,
    shared: false,
    async close() {
      await database.close();
      await server.stop();
    },
  };
}

/** Loads `--config`, else the configuration in the state folder, else a default path. */
export async function loadCommandConfig(
  command: Command,
  file: string | undefined,
): Promise<{ file: string; config: Config }> {
  const chosen = resolveConfigPath(file, [join(stateDirOf(command), 'acgs-lb.yaml')]);
  return { file: chosen, config: await loadConfigFile(chosen) };
}

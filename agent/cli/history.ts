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

/** History as a command reads it: directly, so that it works whether an agent runs or not. */
export interface OpenHistory {
  database: Database;
  url: string;
  embedded: boolean;
  /** It is the embedded database of an agent that runs. */
  shared: boolean;
  close(): Promise<void>;
}

/** A statement over a month may take its time. */
const STATEMENT_MS = 600_000;

export const stateDirOf = (command: Command): string =>
  resolve(command.optsWithGlobals<{ stateDir?: string }>().stateDir ?? process.env.ACGS_STATE_DIR ?? '.acgs');

/** DATABASE_URL, the running stack's Postgres, a running agent's embedded database, or the embedded files themselves. */
export async function openCommandHistory(
  command: Command,
  { create = false }: { create?: boolean } = {},
): Promise<OpenHistory> {
  const stateDir = stateDirOf(command);
  const url = findDatabaseUrl({ env: process.env, stateDir });
  if (url) {
    const database = openDatabase(url, { min: 0, max: 2, idle: 1_000 }, STATEMENT_MS);
    const refused = await database.query('SELECT 1').then(
      () => null,
      (error: Error) => error,
    );
    if (!refused) {
      const embedded = isEmbedded(url);
      return { database, url, embedded, shared: embedded, close: () => database.close() };
    }
    await database.close();
    // A note an agent that was killed left behind: its files are free to be opened here.
    if (!isEmbedded(url)) {
      const words = refused.message || String(refused);
      throw new CommandFailed(`Postgres does not answer (${words}): ${postgresErrorHint(refused)}`, {
        cause: refused,
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
  const database = openDatabase(server.url, { min: 0, max: 1, idle: 1_000 }, STATEMENT_MS);
  return {
    ...{ database, url: server.url, embedded: true, shared: false },
    async close() {
      await database.close();
      await server.stop();
    },
  };
}

/** `--config`, else the local stack's, else the one in this folder, else the machine's. */
export async function loadCommandConfig(
  command: Command,
  file: string | undefined,
): Promise<{ file: string; config: Config }> {
  const chosen = resolveConfigPath(file, [join(stateDirOf(command), 'acgs-lb.yaml')]);
  return { file: chosen, config: await loadConfigFile(chosen) };
}

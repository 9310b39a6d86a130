import { join } from 'node:path';
import type { Config } from '../shared/config/config.ts';
import type { Environment } from './env.ts';
import type { Log } from './log.ts';
import { createPostgresSink, type PostgresSink } from './sinks/postgres.ts';
import { type Database, openDatabase } from './sql/database.ts';
import { startEmbeddedPostgres } from './sql/embedded.ts';
import { noteEmbeddedUrl } from './sql/locate.ts';

/** Where history goes: the Postgres of DATABASE_URL, or one embedded in this process when there is none. */
export interface History {
  sink: PostgresSink;
  database: Database;
  url: string;
  /** After the sink was closed. */
  close(): Promise<void>;
}

export async function openHistory(options: {
  config: Config;
  env: Environment;
  stateDir: string;
  log: Log;
  isLeader(): boolean;
}): Promise<History> {
  const { config, env, stateDir, log, isLeader } = options;
  const embedded = env.databaseUrl ? null : await startEmbeddedPostgres(join(stateDir, 'pglite'));
  const url = env.databaseUrl ?? embedded?.url ?? '';
  const forget = embedded ? noteEmbeddedUrl(stateDir, url) : () => {};
  const database = openDatabase(url, config.postgres.pool);
  const sink = await createPostgresSink({ database, migrateUrl: url, stateDir, log, isLeader });
  return {
    sink,
    database,
    url,
    async close() {
      await database.close();
      forget();
      await embedded?.stop();
    },
  };
}

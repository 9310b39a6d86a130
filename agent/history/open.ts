import { join } from 'node:path';
import type { Config } from '../../shared/config/config.ts';
import type { Environment } from '../core/environment.ts';
import type { TrafficWindow } from '../core/traffic-window.ts';
import type { Log } from '../lib/log.ts';
import { rowIntervalMs } from './row-interval.ts';
import { createHistorySink, type HistorySink } from './sink.ts';
import { type Database, openDatabase } from './sql/database.ts';
import { startEmbeddedPostgres } from './sql/embedded.ts';
import { saveEmbeddedUrl } from './sql/find-database.ts';

/** The database of history: the Postgres of DATABASE_URL, or an embedded one when DATABASE_URL is not set. */
export interface HistoryStore {
  sink: HistorySink;
  database: Database;
  url: string;
  /** Call after the sink is closed. */
  close(): Promise<void>;
}

export async function openHistoryStore(options: {
  config(): Config;
  env: Environment;
  stateDir: string;
  window: TrafficWindow;
  log: Log;
  isLeader(): boolean;
}): Promise<HistoryStore> {
  const { config, env, stateDir, window, log, isLeader } = options;
  const embedded = env.databaseUrl ? null : await startEmbeddedPostgres(join(stateDir, 'pglite'));
  const url = env.databaseUrl ?? embedded?.url ?? '';
  const removeSavedUrl = embedded ? saveEmbeddedUrl(stateDir, url) : () => {};
  const database = openDatabase(url, config().site.id, config().postgres.pool);
  const sink = await createHistorySink({
    database,
    migrateUrl: url,
    stateDir,
    rowInterval: (instances) => rowIntervalMs(config(), instances),
    window,
    log,
    isLeader,
  });
  return {
    sink,
    database,
    url,
    async close() {
      await database.close();
      removeSavedUrl();
      await embedded?.stop();
    },
  };
}

import { join } from 'node:path';
import type { Logger } from 'pino';
import { metricsColumns } from '../core/metrics-rows.ts';
import type { MetricsRow, Sink } from '../core/sink.ts';
import { instanceKey } from '../core/state.ts';
import { createTrafficWindow, type TrafficWindow } from '../core/traffic-window.ts';
import { createMinuteAggregator, requestsOnly } from './minutes.ts';
import { changeRecords, type HistoryRecord } from './records.ts';
import { createRowMerger, MIN_ROW_INTERVAL_MS } from './row-interval.ts';
import { openSpool, type Spool } from './spool.ts';
import type { Database } from './sql/database.ts';
import { migrate } from './sql/migrate.ts';
import { createHistoryWriter, type HistoryWriter } from './writer.ts';

interface HistorySinkOptions {
  database: Database;
  /** When set, the sink migrates the schema of this database before its first write. */
  migrateUrl?: string;
  /** The spool is in `<stateDir>/spool`. */
  stateDir: string;
  log: Logger;
  /** Source of `latency_minutes` and `request_minutes`. */
  window?: TrafficWindow;
  /** Only the leader writes history, except for requests: each reaches only one agent of the site. */
  isLeader?: () => boolean;
  /** Time that one row of `load_balancing_metrics` covers, for this number of instances. Default: rows as they come. */
  rowInterval?: (instances: number) => number;
  flushMs?: number;
}

export interface HistorySink extends Sink {
  /** Writes other history (alerts, audit log) through the same batches and spool. */
  writer: HistoryWriter;
  /** How much waits on disk. */
  spoolSize: Spool<HistoryRecord[]>['size'];
  /** Minutes that are not written yet. */
  pendingMinutes(): HistoryRecord[];
}

/** Writes metrics and changes to Postgres. The caller closes the database after the sink. */
export async function createHistorySink(options: HistorySinkOptions): Promise<HistorySink> {
  const { database, migrateUrl, stateDir, log, isLeader = () => true, flushMs = 500 } = options;
  const { window = createTrafficWindow(), rowInterval = () => MIN_ROW_INTERVAL_MS } = options;
  const spool = await openSpool<HistoryRecord[]>({ folder: join(stateDir, 'spool') });
  const prepare = migrateUrl
    ? async () => {
        for (const warning of (await migrate(migrateUrl, database.site)).warnings) log.warn(warning);
      }
    : undefined;
  const writer = createHistoryWriter({
    database,
    spool,
    log,
    flushMs,
    ...(prepare && { prepareSchema: prepare }),
  });
  const minutes = createMinuteAggregator(window);
  const rows = createRowMerger();
  // Replay what an earlier run left in the spool.
  if (spool.size().rows > 0) writer.write([]);

  return {
    name: 'postgres',
    writer,
    spoolSize: spool.size,
    pendingMinutes: () => (isLeader() ? minutes.pending() : requestsOnly(minutes.pending())),
    accept(update) {
      const ended = minutes.takeEnded(update.at);
      if (!isLeader()) {
        // The previous leader has written them.
        rows.takeAll();
        const own = requestsOnly(ended);
        if (own.length > 0) writer.write(own);
        return;
      }
      const changes = update.changes.flatMap((change) =>
        changeRecords(change, update.instances.get(instanceKey(change.service, change.instance))),
      );
      const metrics = update.metrics ? rows.add(update.metrics, rowInterval(update.instances.size)) : [];
      const records = [...changes, ...metrics.map(metricsRecord), ...ended];
      if (records.length > 0) writer.write(records);
    },
    status: () => writer.status(),
    async close(timeoutMs) {
      const all = minutes.takeAll();
      const last = isLeader() ? [...rows.takeAll().map(metricsRecord), ...all] : requestsOnly(all);
      if (last.length > 0) writer.write(last);
      await writer.close(timeoutMs);
    },
  };
}

const metricsRecord = (row: MetricsRow): HistoryRecord => ({
  table: 'load_balancing_metrics',
  row: metricsColumns(row),
});

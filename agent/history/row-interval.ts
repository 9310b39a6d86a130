import type { Config } from '../../shared/config/config.ts';
import type { MetricsRow } from '../core/sink.ts';
import { instanceKey } from '../core/state.ts';

/** How often the loop creates a row for every instance. */
export const MIN_ROW_INTERVAL_MS = 10_000;
/** With more instances, rows of ten seconds would take more than 10 GB in 30 days (docs/history.md). */
const MANY_INSTANCES = 150;
const MANY_INSTANCES_INTERVAL_MS = 300_000;

export const rowIntervalMs = ({ postgres }: Pick<Config, 'postgres'>, instances: number): number =>
  postgres.rowInterval ?? (instances > MANY_INSTANCES ? MANY_INSTANCES_INTERVAL_MS : MIN_ROW_INTERVAL_MS);

/** Merges the rows of every instance until the interval that they belong to has ended. */
export interface RowMerger {
  /** Returns the merged rows of the previous interval, if these rows begin a new one. */
  add(rows: readonly MetricsRow[], intervalMs: number): MetricsRow[];
  takeAll(): MetricsRow[];
}

export function createRowMerger(): RowMerger {
  let merged = new Map<string, MetricsRow>();
  let current = Number.NaN;
  const takeAll = (): MetricsRow[] => {
    const rows = [...merged.values()];
    merged = new Map();
    return rows;
  };
  return {
    takeAll,
    add(rows, intervalMs) {
      // Nothing to merge.
      if (intervalMs <= MIN_ROW_INTERVAL_MS) return [...takeAll(), ...rows];
      const interval = Math.floor(((rows[0]?.timestamp ?? 0) * 1000) / intervalMs);
      const ended = interval === current ? [] : takeAll();
      current = interval;
      for (const row of rows) {
        const key = instanceKey(row.serviceType, row.instanceId);
        const before = merged.get(key);
        merged.set(key, before ? mergeRows(before, row) : row);
      }
      return ended;
    },
  };
}

/** Counts are added, connections and the load of the host are the highest, the response time is the mean of requests. */
function mergeRows(before: MetricsRow, row: MetricsRow): MetricsRow {
  const requests = before.totalRequests + row.totalRequests;
  const seconds = before.responseTime * before.totalRequests + row.responseTime * row.totalRequests;
  return {
    ...row,
    responseTime: requests > 0 ? seconds / requests : row.responseTime,
    successCount: before.successCount + row.successCount,
    failureCount: before.failureCount + row.failureCount,
    currentConnections: Math.max(before.currentConnections, row.currentConnections),
    totalRequests: requests,
    cpuUsage: Math.max(before.cpuUsage, row.cpuUsage),
    memoryUsage: Math.max(before.memoryUsage, row.memoryUsage),
  };
}

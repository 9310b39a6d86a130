import type { Sketch } from '../../../shared/sketch.ts';
import type { Queryable } from '../sql/database.ts';
import { parseSketch } from '../sql/sketch-column.ts';
import type { Rollup } from './rollup.ts';
import { DAY_SECONDS, HOUR_SECONDS } from './run.ts';

export interface RollupRow {
  start: number;
  service_type: string;
  instance_id: string;
  rows: number;
  requests: number;
  failures: number;
  response_time_sum: number;
  peak_rate: number;
  peak_concurrency: number;
  queued_max: number;
  cpu_max: number | null;
  memory_max: number | null;
  samples: number;
  up_samples: number;
  client_requests: number | null;
  client_failed: number | null;
  retries: number | null;
  hedges: number | null;
  limited: number | null;
  client_latency?: string | Sketch | null;
  latency?: string | Sketch | null;
  means?: string | Sketch | null;
}

const COUNTS = `start, service_type, instance_id, rows, requests, failures, response_time_sum, peak_rate,
  peak_concurrency, queued_max, cpu_max, memory_max, samples, up_samples,
  client_requests, client_failed, retries, hedges, limited`;

/**
 * Reads the roll-ups that start in [from, to), in epoch seconds, with `from` rounded down to the hour. `by: 'day'` reads
 * whole UTC days from metrics_daily and only the hours at both ends from metrics_hourly, which needs far fewer rows.
 */
export async function readRollups(
  database: Queryable,
  range: { from: number; to: number; by: 'hour' | 'day'; sketches?: boolean },
): Promise<Rollup[]> {
  const { from, to, by, sketches = true } = range;
  const columns = sketches ? `${COUNTS}, latency, means, client_latency` : COUNTS;
  const read = async (table: string, start: number, end: number): Promise<Rollup[]> => {
    if (end <= start) return [];
    const { rows } = await database.query<RollupRow & Record<string, unknown>>(
      `SELECT ${columns} FROM ${table} WHERE start >= $1 AND start < $2 AND site = $3 AND service_type <> '' ORDER BY start, service_type, instance_id`,
      [start, end, database.site],
    );
    return rows.map(toRollup);
  };
  const first = Math.floor(from / HOUR_SECONDS) * HOUR_SECONDS;
  const firstDay = Math.ceil(first / DAY_SECONDS) * DAY_SECONDS;
  const lastDay = Math.floor(to / DAY_SECONDS) * DAY_SECONDS;
  if (by === 'hour' || lastDay <= firstDay) return read('metrics_hourly', first, Math.ceil(to));
  return [
    ...(await read('metrics_hourly', first, firstDay)),
    ...(await read('metrics_daily', firstDay, lastDay)),
    ...(await read('metrics_hourly', lastDay, Math.ceil(to))),
  ];
}

export const toRollup = (row: RollupRow): Rollup => ({
  start: row.start,
  service: row.service_type,
  instance: row.instance_id,
  rows: row.rows,
  requests: row.requests,
  failures: row.failures,
  attempts: row.requests,
  client:
    row.client_requests === null
      ? null
      : {
          requests: row.client_requests,
          failed: row.client_failed ?? 0,
          retries: row.retries ?? 0,
          hedges: row.hedges ?? 0,
          limited: row.limited ?? 0,
          latency: parseSketch(row.client_latency),
        },
  responseTimeSum: row.response_time_sum,
  peakRate: row.peak_rate,
  peakConcurrency: row.peak_concurrency,
  queuedMax: row.queued_max,
  cpuMax: row.cpu_max,
  memoryMax: row.memory_max,
  samples: row.samples,
  upSamples: row.up_samples,
  latency: parseSketch(row.latency),
  means: parseSketch(row.means),
});

import { SKETCH_LOG_GAMMA, SKETCH_MIN_VALUE } from '../../../shared/sketch.ts';
import type { Database, Queryable } from '../sql/database.ts';
import { COUNT_HOUR, COUNT_REQUESTS, FOLD_MINUTES, SUM_DAY } from './statements.ts';

export const HOUR_SECONDS = 3_600;
export const DAY_SECONDS = 86_400;
/** The shortest period that one row of load_balancing_metrics covers. */
export const ROW_SECONDS = 10;

export interface RollUpOptions {
  /** Called before each hour or day with the number that remains. */
  onProgress?: (left: { hours: number; days: number }) => void;
  /** Stops after the current hour or day. */
  signal?: AbortSignal;
}

export interface RollUpResult {
  hours: number;
  days: number;
  /** The first error of rows that cannot be rolled up. All other rows are rolled up. */
  uncounted?: string;
}

/**
 * Updates the roll-ups of all hours and days with new rows. Safe to call concurrently and after a crash. Each hour and each
 * day is one short transaction.
 */
export async function rollUp(database: Database, options: RollUpOptions = {}): Promise<RollUpResult> {
  const rawFrom = await readRawCompleteFrom(database);
  const hours = await forEachDirty(database, 'dirty_hours', options, async (client, start) => {
    // The raw rows of this hour are dropped: counting late rows alone would replace the counts of all rows.
    if (start >= rawFrom) {
      await countHour(client, start);
      await client.query(COUNT_REQUESTS, [start, database.site]);
    }
    await client.query(FOLD_MINUTES, [start, SKETCH_LOG_GAMMA, database.site]);
    await client.query(
      `INSERT INTO dirty_days AS d (site, start) VALUES ($2, $1)
       ON CONFLICT (site, start) DO UPDATE SET touched = d.touched + 1`,
      [Math.floor(start / DAY_SECONDS) * DAY_SECONDS, database.site],
    );
  });
  const days = await forEachDirty(database, 'dirty_days', options, async (client, start) => {
    await client.query(SUM_DAY, [start, SKETCH_LOG_GAMMA, database.site]);
  });
  const uncounted = hours.failed ?? days.failed;
  return { hours: hours.done, days: days.done, ...(uncounted !== undefined && { uncounted }) };
}

const countHour = (client: Queryable, start: number) =>
  client.query(COUNT_HOUR, [start, SKETCH_LOG_GAMMA, SKETCH_MIN_VALUE, ROW_SECONDS, client.site]);

/** Epoch seconds from when load_balancing_metrics is complete: earlier rows are dropped. */
export async function readRawCompleteFrom(database: Queryable): Promise<number> {
  const { rows } = await database.query<{ value: number }>(
    "SELECT value FROM upkeep_state WHERE site = $1 AND name = 'raw_from'",
    [database.site],
  );
  return rows[0]?.value ?? Number.NEGATIVE_INFINITY;
}

/** SQLSTATE class 22: stored values that the roll-up cannot process. */
const isDataError = (cause: unknown): cause is Error =>
  cause instanceof Error && 'code' in cause && String(cause.code).startsWith('22');

/**
 * Processes the dirty marks that exist at the start, oldest first, so that new rows do not keep the loop going. A mark is
 * deleted before its rows are read. A mark that an uncommitted writer has locked is left to the next run. A mark whose rows
 * cannot be processed remains; its error is returned and the other marks are processed.
 */
async function forEachDirty(
  database: Database,
  table: 'dirty_hours' | 'dirty_days',
  { onProgress, signal }: RollUpOptions,
  work: (client: Queryable, start: number) => Promise<void>,
): Promise<{ done: number; failed: string | undefined }> {
  const { rows } = await database.query<{ start: number }>(
    `SELECT start FROM ${table} WHERE site = $1 ORDER BY start`,
    [database.site],
  );
  let done = 0;
  let failed: string | undefined;
  for (const [index, { start }] of rows.entries()) {
    if (signal?.aborted) break;
    const left = rows.length - index;
    onProgress?.(table === 'dirty_hours' ? { hours: left, days: 0 } : { hours: 0, days: left });
    const processed = database.transaction(async (client) => {
      const deleted = await client.query(
        `DELETE FROM ${table} WHERE site = $2 AND start =
           (SELECT start FROM ${table} WHERE site = $2 AND start = $1 FOR UPDATE SKIP LOCKED)`,
        [start, database.site],
      );
      if (deleted.rowCount === 0) return 0;
      await work(client, start);
      return 1;
    });
    done += await processed.catch((cause: unknown) => {
      if (!isDataError(cause)) throw cause;
      const at = new Date(start * 1000).toISOString();
      failed ??= `the rows of ${at} cannot be rolled up: ${cause.message}`;
      return 0;
    });
  }
  return { done, failed };
}

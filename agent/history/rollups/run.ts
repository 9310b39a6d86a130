import { SKETCH_LOG_GAMMA, SKETCH_MIN_VALUE } from '../../../shared/sketch.ts';
import type { Database, Queryable } from '../sql/database.ts';
import { COUNT_HOUR, FOLD_MINUTES, SUM_DAY } from './statements.ts';

export const HOUR_SECONDS = 3_600;
export const DAY_SECONDS = 86_400;
/** Seconds one row of load_balancing_metrics stands for. */
export const ROW_SECONDS = 10;

export interface RollUpOptions {
  /** Told before each hour or day, with how many are left. */
  onProgress?: (left: { hours: number; days: number }) => void;
  /** Stops between two hours. */
  signal?: AbortSignal;
}

export interface RollUpResult {
  hours: number;
  days: number;
  /** What is wrong with rows that cannot be computed with; all else is rolled up. */
  uncounted?: string;
}

/**
 * Brings hours and days up to date with all rows that came since: any number of callers at once, at any time, after
 * any crash. Each hour is one short transaction.
 */
export async function rollUp(database: Database, options: RollUpOptions = {}): Promise<RollUpResult> {
  const rawFrom = await readRawCompleteFrom(database);
  const hours = await eachDirty(database, 'dirty_hours', options, async (client, start) => {
    // An hour whose raw rows are dropped keeps the counts it has: late rows alone would replace them.
    if (start >= rawFrom) await countHour(client, start);
    await client.query(FOLD_MINUTES, [start]);
    await client.query(
      `INSERT INTO dirty_days AS d (start) VALUES ($1)
       ON CONFLICT (start) DO UPDATE SET touched = d.touched + 1`,
      [Math.floor(start / DAY_SECONDS) * DAY_SECONDS],
    );
  });
  const days = await eachDirty(database, 'dirty_days', options, async (client, start) => {
    for (const statement of SUM_DAY) await client.query(statement, [start]);
  });
  const uncounted = hours.failed ?? days.failed;
  return { hours: hours.done, days: days.done, ...(uncounted !== undefined && { uncounted }) };
}

const countHour = (client: Queryable, start: number) =>
  client.query(COUNT_HOUR, [start, SKETCH_LOG_GAMMA, SKETCH_MIN_VALUE, ROW_SECONDS]);

/** Epoch seconds from when on load_balancing_metrics holds every row it ever got. */
export async function readRawCompleteFrom(database: Queryable): Promise<number> {
  const { rows } = await database.query<{ value: number }>(
    "SELECT value FROM upkeep_state WHERE name = 'raw_from'",
  );
  return rows[0]?.value ?? Number.NEGATIVE_INFINITY;
}

/** SQLSTATE class 22: what is stored cannot be computed with. */
const isDataError = (cause: unknown): cause is Error =>
  cause instanceof Error && 'code' in cause && String(cause.code).startsWith('22');

/**
 * Takes the marks one by one, oldest first, only those that stood at the start: rows that keep coming must not keep
 * the loop going. The mark is deleted before the sources are read; a writer that has set it but not committed holds
 * its lock, and the mark is left to the next run. One whose rows cannot be computed keeps its mark, holds up no other,
 * and is told of at the end.
 */
async function eachDirty(
  database: Database,
  table: 'dirty_hours' | 'dirty_days',
  { onProgress, signal }: RollUpOptions,
  work: (client: Queryable, start: number) => Promise<void>,
): Promise<{ done: number; failed: string | undefined }> {
  const { rows } = await database.query<{ start: number }>(`SELECT start FROM ${table} ORDER BY start`);
  let done = 0;
  let failed: string | undefined;
  for (const [index, { start }] of rows.entries()) {
    if (signal?.aborted) break;
    const left = rows.length - index;
    onProgress?.(table === 'dirty_hours' ? { hours: left, days: 0 } : { hours: 0, days: left });
    const taking = database.transaction(async (client) => {
      const taken = await client.query(
        `DELETE FROM ${table} WHERE start = (SELECT start FROM ${table} WHERE start = $1 FOR UPDATE SKIP LOCKED)`,
        [start],
      );
      if (taken.rowCount === 0) return 0;
      await work(client, start);
      return 1;
    });
    done += await taking.catch((cause: unknown) => {
      if (!isDataError(cause)) throw cause;
      const at = new Date(start * 1000).toISOString();
      failed ??= `the rows of ${at} cannot be rolled up: ${cause.message}`;
      return 0;
    });
  }
  return { done, failed };
}

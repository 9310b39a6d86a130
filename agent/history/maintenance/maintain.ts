import {
  DAY_SECONDS,
  HOUR_SECONDS,
  type RollUpOptions,
  type RollUpResult,
  readRawCompleteFrom,
  rollUp,
} from '../rollups/run.ts';
import { MINUTE_RETENTION_DAYS } from '../series/range.ts';
import type { Database, Queryable } from '../sql/database.ts';

interface MaintainOptions {
  /** How long raw rows are kept, in milliseconds: `retention` of the configuration. */
  retentionMs: number;
  /** Epoch seconds. */
  now: number;
  onStep?: (step: string, done?: number, total?: number, unit?: string) => void;
  onRollUp?: RollUpOptions['onProgress'];
}

interface MaintenanceResult {
  rolledUp: RollUpResult;
  /** Names of the dropped partitions. */
  dropped: string[];
  /** Number of rows deleted, by table. */
  deleted: Record<string, number>;
  partitionsAhead: number;
  vacuumed: string[];
}

type OnProgress = (done: number, total: number) => void;

const PARTITIONED = ['load_balancing_metrics', 'service_health_history'] as const;
const DAYS_AHEAD = 7;
/** Roll-ups and events: a year, plus a month to compare with the year before. */
const EVENT_RETENTION_DAYS = 400;
/** A spooled batch that is replayed later than this could be counted twice. */
const BATCH_ID_RETENTION_DAYS = 90;

/** table → the column with the age of a row, in epoch seconds; `only`: condition for rows that may be deleted. */
const EVENT_TABLES: Record<string, { column: string; only?: string }> = {
  metrics_hourly: { column: 'start' },
  metrics_daily: { column: 'start' },
  breaker_events: { column: 'timestamp' },
  state_events: { column: 'timestamp' },
  audit_log: { column: 'timestamp' },
  alert_silences: { column: 'until_at' },
  alerts: { column: 'started_at', only: 'resolved_at IS NOT NULL' },
  governance_sessions: { column: 'last_activity', only: "state IN ('completed', 'expired', 'failed')" },
};

/**
 * Rolls up, creates partitions for the next days, deletes old rows, vacuums and analyzes. Safe beside a running agent and
 * concurrently: rows are rolled up before their partition is dropped, and every step is idempotent.
 */
export async function maintain(database: Database, options: MaintainOptions): Promise<MaintenanceResult> {
  const { retentionMs, now, onStep = () => {}, onRollUp } = options;
  onStep('rolling up');
  const rolledUp = await rollUp(database, onRollUp ? { onProgress: onRollUp } : {});
  onStep('creating partitions for the next days');
  await database.query('SELECT acgs_ensure_days($1, $2)', [now, now + DAYS_AHEAD * DAY_SECONDS]);
  onStep('dropping old partitions');
  const retainedFrom = now - retentionMs / 1000;
  const old = await dropOldPartitions(database, retainedFrom, (done, total) =>
    onStep('dropping old partitions', done, total, 'partitions'),
  );
  onStep('deleting old rows');
  const deleted = { ...old.deleted, ...(await deleteOldRows(database, now, retainedFrom)) };
  const vacuumed = await vacuum(database, (done, total) =>
    onStep('vacuuming and analyzing', done, total, 'tables'),
  );
  await saveState(database, 'maintained_at', now);
  return { rolledUp, dropped: old.dropped, deleted, partitionsAhead: DAYS_AHEAD, vacuumed };
}

/** Deletes the site's rows that have outlived their retention from the tables without partitions. Times are epoch seconds. */
async function deleteOldRows(
  database: Database,
  now: number,
  retainedFrom: number,
): Promise<Record<string, number>> {
  // Whole seconds: some of the columns are bigint.
  const eventsFrom = Math.floor(now) - EVENT_RETENTION_DAYS * DAY_SECONDS;
  const conditions: Record<string, [condition: string, before: number]> = {
    ...Object.fromEntries(
      Object.entries(EVENT_TABLES).map(([table, { column, only = 'true' }]) => [
        table,
        [`${column} < $2 AND ${only}`, eventsFrom],
      ]),
    ),
    request_traces: ['timestamp < $2', retainedFrom],
    // Like raw rows, which are dropped by whole days: a late row must not replace the roll-up of its hour.
    request_minutes: ['timestamp < $2', Math.max(await readRawCompleteFrom(database), 0)],
    spool_batches: ['written_at < to_timestamp($2)', now - BATCH_ID_RETENTION_DAYS * DAY_SECONDS],
  };
  const deleted: Record<string, number> = {};
  for (const [table, [condition, before]] of Object.entries(conditions)) {
    const sql = `DELETE FROM ${table} WHERE site = $1 AND ${condition}`;
    deleted[table] = (await database.query(sql, [database.site, before])).rowCount ?? 0;
  }
  deleted.latency_minutes = await deleteOldMinutes(database, now);
  return deleted;
}

/** Deletes minutes that no series reads any more. They take the most space by far. Returns their number. */
export async function deleteOldMinutes(database: Database, now: number): Promise<number> {
  // The first step of a series begins before the oldest minute.
  const before = now - MINUTE_RETENTION_DAYS * DAY_SECONDS - HOUR_SECONDS;
  const sql = 'DELETE FROM latency_minutes WHERE site = $1 AND folded AND timestamp < $2';
  return (await database.query(sql, [database.site, before])).rowCount ?? 0;
}

/**
 * Drops the partitions of whole days that ended before `before` (epoch seconds). From a partition that also holds rows of
 * other sites, which may keep them longer, it deletes the site's rows: the last of the sites drops it. First stores from
 * when raw rows are complete, so that a late row of a dropped day does not replace the roll-up of its hour.
 */
async function dropOldPartitions(
  database: Database,
  before: number,
  onProgress: OnProgress,
): Promise<{ dropped: string[]; deleted: Record<string, number> }> {
  const firstKept = Math.floor(before / DAY_SECONDS) * DAY_SECONDS;
  const { rows } = await database.query<{ name: string; parent: string; day: string }>(
    `SELECT relid::regclass::text AS name, parent, right(relid::regclass::text, 8) AS day
     FROM unnest($1::text[]) AS parent, pg_partition_tree(parent::regclass)
     WHERE isleaf AND relid <> parent::regclass ORDER BY 3, 1`,
    [[...PARTITIONED]],
  );
  const old = rows.filter(({ day }) => dayStart(day) < firstKept);
  const dropped: string[] = [];
  const deleted: Record<string, number> = {};
  if (old.length === 0) return { dropped, deleted };
  await saveState(database, 'raw_from', Math.max(firstKept, await readRawCompleteFrom(database)));
  for (const [done, { name, parent }] of old.entries()) {
    onProgress(done, old.length);
    const rowsOfSite = await dropPartition(database, name);
    if (rowsOfSite === 'dropped') dropped.push(name);
    else deleted[parent] = (deleted[parent] ?? 0) + rowsOfSite;
  }
  return { dropped, deleted };
}

/** Drops a partition, or deletes the site's rows while it holds rows of other sites. Returns their number. */
async function dropPartition(database: Database, name: string): Promise<'dropped' | number> {
  const hasOthers = async (client: Queryable): Promise<boolean> => {
    // By the index on (site, timestamp), which answers at once.
    const { rows } = await client.query<{ lowest: string | null; highest: string | null }>(
      `SELECT min(site) AS lowest, max(site) AS highest FROM ${name}`,
    );
    return [rows[0]?.lowest, rows[0]?.highest].some((site) => site != null && site !== client.site);
  };
  if (!(await hasOthers(database))) {
    const isDropped = await database.transaction(async (client) => {
      // The lock is short. But while it waits for a long report, every writer waits behind it.
      await client.query("SET LOCAL lock_timeout = '5s'");
      await client.query(`LOCK TABLE ${name} IN ACCESS EXCLUSIVE MODE`);
      if (await hasOthers(client)) return false;
      await client.query(`DROP TABLE ${name}`);
      return true;
    });
    if (isDropped) return 'dropped';
  }
  return (await database.query(`DELETE FROM ${name} WHERE site = $1`, [database.site])).rowCount ?? 0;
}

/** `20261124` → epoch seconds; NaN for a partition with another name, which is never dropped. */
const dayStart = (day: string): number =>
  /^\d{8}$/.test(day)
    ? Date.UTC(Number(day.slice(0, 4)), Number(day.slice(4, 6)) - 1, Number(day.slice(6))) / 1000
    : Number.NaN;

/** Vacuums the tables that rows are deleted from. Partitions are dropped whole and only need new statistics. */
async function vacuum(database: Database, onProgress: OnProgress): Promise<string[]> {
  const tables = [
    ...Object.keys(EVENT_TABLES),
    'latency_minutes',
    'request_minutes',
    'dirty_hours',
    'dirty_days',
    'spool_batches',
  ];
  const statements = [
    ...tables.map((table) => `VACUUM (ANALYZE) ${table}`),
    ...PARTITIONED.map((table) => `ANALYZE ${table}`),
  ];
  for (const [done, statement] of statements.entries()) {
    onProgress(done, statements.length);
    await database.query(statement);
  }
  return [...tables, ...PARTITIONED];
}

const saveState = (database: Database, name: string, value: number) =>
  database.query(
    `INSERT INTO upkeep_state (site, name, value) VALUES ($1, $2, $3)
     ON CONFLICT (site, name) DO UPDATE SET value = excluded.value`,
    [database.site, name, value],
  );

import {
  DAY_SECONDS,
  type RollUpOptions,
  type RollUpResult,
  readRawCompleteFrom,
  rollUp,
} from '../rollups/run.ts';
import { MINUTE_RETENTION_DAYS } from '../series/range.ts';
import type { Database } from '../sql/database.ts';

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
  const dropped = await dropOldPartitions(database, now - retentionMs / 1000, (done, total) =>
    onStep('dropping old partitions', done, total, 'partitions'),
  );
  onStep('deleting old rows');
  const deleted: Record<string, number> = {};
  // Whole seconds: some of the columns are bigint.
  const deleteBefore = Math.floor(now) - EVENT_RETENTION_DAYS * DAY_SECONDS;
  for (const [table, { column, only = 'true' }] of Object.entries(EVENT_TABLES)) {
    deleted[table] =
      (await database.query(`DELETE FROM ${table} WHERE ${column} < $1 AND ${only}`, [deleteBefore]))
        .rowCount ?? 0;
  }
  const traces = await database.query('DELETE FROM request_traces WHERE timestamp < $1', [
    now - retentionMs / 1000,
  ]);
  deleted.request_traces = traces.rowCount ?? 0;
  // Like raw rows, which are dropped by whole days: a late row must not replace the roll-up of its hour.
  const rawFrom = await readRawCompleteFrom(database);
  const minutes = await database.query('DELETE FROM request_minutes WHERE timestamp < $1', [
    Math.max(rawFrom, 0),
  ]);
  deleted.request_minutes = minutes.rowCount ?? 0;
  const folded = await database.query('DELETE FROM latency_minutes WHERE folded AND timestamp < $1', [
    now - MINUTE_RETENTION_DAYS * DAY_SECONDS,
  ]);
  deleted.latency_minutes = folded.rowCount ?? 0;
  const batches = await database.query('DELETE FROM spool_batches WHERE written_at < to_timestamp($1)', [
    now - BATCH_ID_RETENTION_DAYS * DAY_SECONDS,
  ]);
  deleted.spool_batches = batches.rowCount ?? 0;
  const vacuumed = await vacuum(database, (done, total) =>
    onStep('vacuuming and analyzing', done, total, 'tables'),
  );
  await saveState(database, 'maintained_at', now);
  return { rolledUp, dropped, deleted, partitionsAhead: DAYS_AHEAD, vacuumed };
}

/**
 * Drops the partitions of whole days that ended before `before` (epoch seconds). First stores from when raw rows are
 * complete, so that a late row of a dropped day does not replace the roll-up of its hour.
 */
async function dropOldPartitions(
  database: Database,
  before: number,
  onProgress: OnProgress,
): Promise<string[]> {
  const firstKept = Math.floor(before / DAY_SECONDS) * DAY_SECONDS;
  const { rows } = await database.query<{ name: string; day: string }>(
    `SELECT relid::regclass::text AS name, right(relid::regclass::text, 8) AS day
     FROM unnest($1::text[]) AS parent, pg_partition_tree(parent::regclass)
     WHERE isleaf AND relid <> parent::regclass ORDER BY 2, 1`,
    [[...PARTITIONED]],
  );
  const old = rows.filter(({ day }) => dayStart(day) < firstKept);
  if (old.length === 0) return [];
  await saveState(database, 'raw_from', Math.max(firstKept, await readRawCompleteFrom(database)));
  for (const [done, { name }] of old.entries()) {
    onProgress(done, old.length);
    await database.transaction(async (client) => {
      // The lock is short. But while it waits for a long report, every writer waits behind it.
      await client.query("SET LOCAL lock_timeout = '5s'");
      await client.query(`DROP TABLE IF EXISTS ${name}`);
    });
  }
  return old.map(({ name }) => name);
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
    'INSERT INTO upkeep_state VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
    [name, value],
  );

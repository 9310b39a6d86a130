import {
  DAY_SECONDS,
  type RollUpOptions,
  type RollUpResult,
  readRawCompleteFrom,
  rollUp,
} from '../rollups/run.ts';
import type { Database } from '../sql/database.ts';

export interface MaintainOptions {
  /** How long raw rows are kept, milliseconds: `retention` of the configuration. */
  retentionMs: number;
  /** Epoch seconds. */
  now: number;
  onStep?: (step: string, done?: number, total?: number, unit?: string) => void;
  onRollUp?: RollUpOptions['onProgress'];
}

export interface MaintenanceResult {
  rolledUp: RollUpResult;
  /** Names of the partitions that went. */
  dropped: string[];
  /** Rows deleted from tables that are not partitioned. */
  deleted: Record<string, number>;
  partitionsAhead: number;
  vacuumed: string[];
}

type OnDone = (done: number, total: number) => void;

const PARTITIONED = ['load_balancing_metrics', 'service_health_history'] as const;
const DAYS_AHEAD = 7;
/** Roll-ups and what happened now and then: a year, and a month to look back from its end. */
const KEPT_DAYS = 400;
/** A batch from the spool of an agent that was down longer than this could count twice. */
const BATCHES_DAYS = 90;

/** table → column that says how old a row is, in epoch seconds; condition for rows that stay however old. */
const AGEING: Record<string, { column: string; only?: string }> = {
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
 * Retention, partitions ahead, vacuum and analyze. Safe at any time beside a working agent, and twice at once: rows are
 * rolled up before their partition goes, and every step can be repeated.
 */
export async function maintain(database: Database, options: MaintainOptions): Promise<MaintenanceResult> {
  const { retentionMs, now, onStep = () => {}, onRollUp } = options;
  onStep('rolling up');
  const rolledUp = await rollUp(database, onRollUp ? { onProgress: onRollUp } : {});
  onStep('making partitions for the days ahead');
  await database.query('SELECT acgs_ensure_days($1, $2)', [now, now + DAYS_AHEAD * DAY_SECONDS]);
  onStep('dropping old days');
  const dropped = await dropOldDays(database, now - retentionMs / 1000, (done, total) =>
    onStep('dropping old days', done, total, 'partitions'),
  );
  onStep('deleting old rows');
  const deleted: Record<string, number> = {};
  // Whole seconds: some of the columns are bigint.
  const keptFrom = Math.floor(now) - KEPT_DAYS * DAY_SECONDS;
  for (const [table, { column, only = 'true' }] of Object.entries(AGEING)) {
    deleted[table] =
      (await database.query(`DELETE FROM ${table} WHERE ${column} < $1 AND ${only}`, [keptFrom])).rowCount ??
      0;
  }
  const batches = await database.query('DELETE FROM spool_batches WHERE written_at < to_timestamp($1)', [
    now - BATCHES_DAYS * DAY_SECONDS,
  ]);
  deleted.spool_batches = batches.rowCount ?? 0;
  const vacuumed = await vacuum(database, (done, total) =>
    onStep('vacuuming and analyzing', done, total, 'tables'),
  );
  await remember(database, 'maintained_at', now);
  return { rolledUp, dropped, deleted, partitionsAhead: DAYS_AHEAD, vacuumed };
}

/**
 * Whole days that ended before `before` (epoch seconds). What raw rows are complete from is remembered first, so that a
 * row that comes late for such a day does not make its hour anew out of itself alone.
 */
async function dropOldDays(database: Database, before: number, onDone: OnDone): Promise<string[]> {
  const firstKept = Math.floor(before / DAY_SECONDS) * DAY_SECONDS;
  const { rows } = await database.query<{ name: string; day: string }>(
    `SELECT relid::regclass::text AS name, right(relid::regclass::text, 8) AS day
     FROM unnest($1::text[]) AS parent, pg_partition_tree(parent::regclass)
     WHERE isleaf AND relid <> parent::regclass ORDER BY 2, 1`,
    [[...PARTITIONED]],
  );
  const old = rows.filter(({ day }) => dayStart(day) < firstKept);
  if (old.length === 0) return [];
  await remember(database, 'raw_from', Math.max(firstKept, await readRawCompleteFrom(database)));
  for (const [done, { name }] of old.entries()) {
    onDone(done, old.length);
    await database.transaction(async (client) => {
      // The lock on the whole table is short, but a long report in front of it would hold up every writer behind it.
      await client.query("SET LOCAL lock_timeout = '5s'");
      await client.query(`DROP TABLE IF EXISTS ${name}`);
    });
  }
  return old.map(({ name }) => name);
}

/** `20261124` → epoch seconds; NaN (never old) for a partition that is not one of ours. */
const dayStart = (day: string): number =>
  /^\d{8}$/.test(day)
    ? Date.UTC(Number(day.slice(0, 4)), Number(day.slice(4, 6)) - 1, Number(day.slice(6))) / 1000
    : Number.NaN;

/** Tables that lose rows; partitions lose none, so of those only the statistics are renewed, by the parent. */
async function vacuum(database: Database, onDone: OnDone): Promise<string[]> {
  const tables = [...Object.keys(AGEING), 'latency_minutes', 'dirty_hours', 'dirty_days', 'spool_batches'];
  const statements = [
    ...tables.map((table) => `VACUUM (ANALYZE) ${table}`),
    ...PARTITIONED.map((table) => `ANALYZE ${table}`),
  ];
  for (const [done, statement] of statements.entries()) {
    onDone(done, statements.length);
    await database.query(statement);
  }
  return [...tables, ...PARTITIONED];
}

const remember = (database: Database, name: string, value: number) =>
  database.query(
    'INSERT INTO upkeep_state VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
    [name, value],
  );

import type { HistoryRecord, HistoryTable } from '../records.ts';
import type { Queryable } from './database.ts';

/** Columns a record may have, with the type its JSON is read as; what stands after the values, or the whole statement. */
interface TableSpec {
  columns: Record<string, string>;
  suffix?: string;
  statement?: (rows: string) => string;
}

const text = 'text';
const number = 'double precision';
const integer = 'integer';
const about = { service_type: text, instance_id: text, timestamp: number };
const moved = { from_state: text, to_state: text, reason: text };

const ALERT_COLUMNS = {
  id: text,
  rule: text,
  service_type: text,
  instance_id: text,
  severity: text,
  state: text,
  value: number,
  threshold: number,
  message: text,
  started_at: number,
  changed_at: number,
  resolved_at: number,
  acknowledged_at: number,
  acknowledged_by: text,
  notified: integer,
  told_at: number,
  told_as: text,
};

const TABLES: Record<HistoryTable, TableSpec> = {
  load_balancing_metrics: {
    columns: {
      ...about,
      response_time: number,
      success_count: integer,
      failure_count: integer,
      current_connections: integer,
      total_requests: integer,
      cpu_usage: number,
      memory_usage: number,
    },
  },
  service_health_history: {
    columns: { ...about, is_healthy: 'boolean', response_time: number, error_message: text },
  },
  breaker_events: { columns: { ...about, ...moved } },
  state_events: { columns: { ...about, kind: text, ...moved } },
  latency_minutes: {
    columns: { ...about, samples: integer, up_samples: integer, queued_max: number, latency: 'jsonb' },
  },
  alerts: {
    columns: ALERT_COLUMNS,
    suffix: `ON CONFLICT (id) DO UPDATE SET ${Object.keys(ALERT_COLUMNS)
      .filter((column) => column !== 'id')
      .map((column) => `${column} = excluded.${column}`)
      .join(', ')} WHERE alerts.changed_at <= excluded.changed_at`,
  },
  // Nothing else of the alert: the agent that was told may have an older picture of it than the one that leads. What has
  // got worse since, or is over, was not what it was given for.
  alert_acks: {
    columns: { id: text, severity: text, acknowledged_at: number, acknowledged_by: text },
    statement: (rows) =>
      `UPDATE alerts AS a SET acknowledged_at = r.acknowledged_at, acknowledged_by = r.acknowledged_by,
              changed_at = greatest(a.changed_at, r.acknowledged_at)
       FROM ${rows} WHERE a.id = r.id AND a.severity = r.severity AND a.state = 'firing'`,
  },
  audit_log: { columns: { timestamp: number, actor: text, action: text, target: text, detail: 'jsonb' } },
};

/**
 * Writes one batch, or nothing when its id has been written before. To be called inside a transaction: id and rows
 * commit together, which is what makes a batch count exactly once.
 */
export async function writeBatch(
  client: Queryable,
  id: string,
  records: readonly HistoryRecord[],
): Promise<'written' | 'known'> {
  const fresh = await client.query('INSERT INTO spool_batches (id) VALUES ($1) ON CONFLICT DO NOTHING', [id]);
  if (fresh.rowCount === 0) return 'known';
  const byTable = Map.groupBy(records, (record) => record.table);
  await ensurePartitions(client, byTable);
  for (const [table, list] of byTable) {
    const { columns, suffix = '', statement } = TABLES[table];
    const names = Object.keys(columns).join(', ');
    const typed = Object.entries(columns).map(([name, type]) => `${name} ${type}`);
    const source = `jsonb_to_recordset($1::jsonb) AS r(${typed.join(', ')})`;
    const rows = table === 'alerts' ? lastOfEach(list) : list.map((record) => record.row);
    await client.query(
      statement?.(source) ?? `INSERT INTO ${table} (${names}) SELECT ${names} FROM ${source} ${suffix}`,
      [JSON.stringify(rows)],
    );
  }
  return 'written';
}

/** One statement may not change a row twice. */
function lastOfEach(records: readonly HistoryRecord[]): Record<string, unknown>[] {
  return [...new Map(records.map(({ row }) => [row.id, row])).values()];
}

/** The day's partition before its rows. */
async function ensurePartitions(
  client: Queryable,
  byTable: ReadonlyMap<HistoryTable, readonly HistoryRecord[]>,
): Promise<void> {
  const days = (['load_balancing_metrics', 'service_health_history'] as const).flatMap((table) =>
    [...new Set(byTable.get(table)?.map(({ row }) => Math.floor(Number(row.timestamp) / 86_400) * 86_400))]
      .sort((a, b) => a - b)
      .map((day) => ({ table, day })),
  );
  for (const { table, day } of days) await client.query('SELECT acgs_ensure_day($1, $2)', [table, day]);
}

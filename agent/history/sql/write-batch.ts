import type { Sketch } from '../../../shared/sketch.ts';
import type { HistoryRecord, HistoryTable } from '../records.ts';
import type { Queryable } from './database.ts';
import { formatSketch } from './sketch-column.ts';

/** The columns of a table with their SQL types, beside `site`. `suffix` follows the INSERT; `statement` replaces it. */
interface TableSpec {
  columns: Record<string, string>;
  suffix?: string;
  statement?: (rows: string) => string;
}

const text = 'text';
const number = 'double precision';
const integer = 'integer';
const subject = { service_type: text, instance_id: text, timestamp: number };
const statuses = { status_2xx: integer, status_3xx: integer, status_4xx: integer, status_5xx: integer };
const transition = { from_state: text, to_state: text, reason: text };

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
      ...subject,
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
    columns: { ...subject, is_healthy: 'boolean', response_time: number, error_message: text },
  },
  breaker_events: { columns: { ...subject, ...transition } },
  state_events: { columns: { ...subject, kind: text, ...transition, actor: text } },
  // Rows that an older agent left in the spool lack the newer columns.
  latency_minutes: {
    columns: {
      ...subject,
      samples: integer,
      up_samples: integer,
      queued_max: number,
      latency: 'jsonb',
      attempts: integer,
      failures: integer,
      ...statuses,
      concurrency_sum: number,
      breaker_samples: integer,
      outlier_samples: integer,
      probes: integer,
      probes_failed: integer,
      probe_ms_sum: number,
      p50_ms: 'real',
      p95_ms: 'real',
    },
  },
  request_traces: {
    columns: { timestamp: number, request_id: text, trace_id: text, service_type: text, detail: 'jsonb' },
  },
  request_minutes: {
    columns: {
      service_type: text,
      timestamp: number,
      requests: integer,
      failed: integer,
      ...statuses,
      attempts: integer,
      retries: integer,
      hedges: integer,
      limited: integer,
      latency: 'jsonb',
    },
  },
  alerts: {
    columns: ALERT_COLUMNS,
    suffix: `ON CONFLICT (id) DO UPDATE SET ${Object.keys(ALERT_COLUMNS)
      .filter((column) => column !== 'id')
      .map((column) => `${column} = excluded.${column}`)
      .join(', ')} WHERE alerts.site = excluded.site AND alerts.changed_at <= excluded.changed_at`,
  },
  // Only the acknowledgement: the agent that received it may know an older state of the alert than the leader. It applies
  // only while the alert fires with the severity that was acknowledged.
  alert_acks: {
    columns: { id: text, severity: text, acknowledged_at: number, acknowledged_by: text },
    statement: (rows) =>
      `UPDATE alerts AS a SET acknowledged_at = r.acknowledged_at, acknowledged_by = r.acknowledged_by,
              changed_at = greatest(a.changed_at, r.acknowledged_at)
       FROM ${rows} WHERE a.site = $2 AND a.id = r.id AND a.severity = r.severity AND a.state = 'firing'`,
  },
  audit_log: { columns: { timestamp: number, actor: text, action: text, target: text, detail: 'jsonb' } },
};

/**
 * Writes one batch, or nothing when a batch with this id was written before. Call it in a transaction: id and rows commit
 * together, so each batch is written exactly once.
 */
export async function writeBatch(
  client: Queryable,
  id: string,
  records: readonly HistoryRecord[],
): Promise<'written' | 'known'> {
  const inserted = await client.query(
    'INSERT INTO spool_batches (site, id) VALUES ($1, $2) ON CONFLICT DO NOTHING',
    [client.site, id],
  );
  if (inserted.rowCount === 0) return 'known';
  const byTable = Map.groupBy(records, (record) => record.table);
  await ensurePartitions(client, byTable);
  for (const [table, list] of byTable) {
    const { columns, suffix = '', statement } = TABLES[table];
    const names = Object.keys(columns).join(', ');
    const typed = Object.entries(columns).map(([name, type]) => `${name} ${type}`);
    const source = `jsonb_to_recordset($1::jsonb) AS r(${typed.join(', ')})`;
    const rows = table === 'alerts' ? latestById(list) : list.map(toColumns);
    await client.query(
      statement?.(source) ??
        `INSERT INTO ${table} (site, ${names}) SELECT $2::text, ${names} FROM ${source} ${suffix}`,
      [JSON.stringify(rows), client.site],
    );
  }
  return 'written';
}

/** Sketches are objects in memory and in the spool. */
function toColumns({ row }: HistoryRecord): Record<string, unknown> {
  return row.latency ? { ...row, latency: formatSketch(row.latency as Sketch) } : row;
}

/** One upsert must not affect a row twice. */
function latestById(records: readonly HistoryRecord[]): Record<string, unknown>[] {
  return [...new Map(records.map(({ row }) => [row.id, row])).values()];
}

/** Creates the partition of each day that the rows need. */
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

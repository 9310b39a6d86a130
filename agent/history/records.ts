import type { MetricsRow } from '../core/sink.ts';
import type { Change, Instance } from '../core/state.ts';

/** A row on its way to one history table, in the table's own column names; `alert_acks` change rows of `alerts`. */
export interface HistoryRecord {
  table: HistoryTable;
  row: Record<string, unknown>;
}

export type HistoryTable =
  | 'load_balancing_metrics'
  | 'service_health_history'
  | 'breaker_events'
  | 'state_events'
  | 'latency_minutes'
  | 'alerts'
  | 'alert_acks'
  | 'audit_log';

/** The row of `load_balancing_metrics`, also the value of `lb:metrics:…`. */
export function metricsColumns(row: MetricsRow): Record<string, unknown> {
  return {
    service_type: row.serviceType,
    instance_id: row.instanceId,
    timestamp: row.timestamp,
    response_time: row.responseTime,
    success_count: row.successCount,
    failure_count: row.failureCount,
    current_connections: row.currentConnections,
    total_requests: row.totalRequests,
    cpu_usage: row.cpuUsage,
    memory_usage: row.memoryUsage,
  };
}

const BY_PEOPLE: ReadonlySet<Change['kind']> = new Set(['admin', 'weight', 'registered', 'deregistered']);

/** What a change leaves in history. `instance` is the instance after it, absent when it is gone. */
export function changeRecords(change: Change, instance: Instance | undefined): HistoryRecord[] {
  const own = eventRecord(change, instance);
  if (!BY_PEOPLE.has(change.kind) || change.by === undefined) return [own];
  const audit = {
    timestamp: change.at / 1000,
    actor: change.by,
    action: change.kind,
    target: `${change.service}/${change.instance}`,
    detail: { from: change.from ?? null, to: change.to ?? null, reason: change.reason },
  };
  return [own, { table: 'audit_log', row: audit }];
}

function eventRecord(change: Change, instance: Instance | undefined): HistoryRecord {
  const about = {
    service_type: change.service,
    instance_id: change.instance,
    timestamp: change.at / 1000,
  };
  const moved = { from_state: change.from ?? null, to_state: change.to ?? null, reason: change.reason };
  switch (change.kind) {
    case 'health': {
      const healthy = change.to === 'up';
      const latencyMs = instance?.lastProbe?.latencyMs;
      const row = {
        ...about,
        is_healthy: healthy,
        response_time: latencyMs === undefined ? null : latencyMs / 1000,
        error_message: healthy ? null : (instance?.lastProbe?.error ?? change.reason),
      };
      return { table: 'service_health_history', row };
    }
    case 'breaker':
      return { table: 'breaker_events', row: { ...about, ...moved } };
    default:
      return { table: 'state_events', row: { ...about, kind: change.kind, ...moved } };
  }
}

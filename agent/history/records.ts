import type { Change, Instance } from '../core/state.ts';

/** A row for a history table, by column name. `alert_acks` is not a table: it updates rows of `alerts`. */
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
  | 'request_minutes'
  | 'request_traces'
  | 'alerts'
  | 'alert_acks'
  | 'audit_log';

const AUDITED: ReadonlySet<Change['kind']> = new Set(['admin', 'weight', 'registered', 'deregistered']);

/** The history of a change: an event and, if an operator made it, an audit record. `instance`: after the change, if it still exists. */
export function changeRecords(change: Change, instance: Instance | undefined): HistoryRecord[] {
  const event = eventRecord(change, instance);
  if (!AUDITED.has(change.kind) || change.by === undefined) return [event];
  const audit = {
    timestamp: change.at / 1000,
    actor: change.by,
    action: change.kind,
    target: `${change.service}/${change.instance}`,
    detail: { from: change.from ?? null, to: change.to ?? null, reason: change.reason },
  };
  return [event, { table: 'audit_log', row: audit }];
}

/** The audit record of a change of the configuration. */
export function configAuditRecord({ at, by, service, reason, from, to }: Change): HistoryRecord {
  const row = {
    timestamp: at / 1000,
    actor: by ?? 'file',
    action: 'config',
    target: reason.slice(0, 200),
    detail: { service, from: from ?? null, to: to ?? null },
  };
  return { table: 'audit_log', row };
}

function eventRecord(change: Change, instance: Instance | undefined): HistoryRecord {
  const subject = {
    service_type: change.service,
    instance_id: change.instance,
    timestamp: change.at / 1000,
  };
  const transition = { from_state: change.from ?? null, to_state: change.to ?? null, reason: change.reason };
  switch (change.kind) {
    case 'health': {
      const healthy = change.to === 'up';
      const latencyMs = instance?.lastProbe?.latencyMs;
      const row = {
        ...subject,
        is_healthy: healthy,
        response_time: latencyMs === undefined ? null : latencyMs / 1000,
        error_message: healthy ? null : (instance?.lastProbe?.error ?? change.reason),
      };
      return { table: 'service_health_history', row };
    }
    case 'breaker':
      return { table: 'breaker_events', row: { ...subject, ...transition } };
    default:
      return {
        table: 'state_events',
        row: { ...subject, kind: change.kind, ...transition, actor: change.by ?? null },
      };
  }
}

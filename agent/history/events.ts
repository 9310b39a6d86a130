import type { Queryable } from './sql/database.ts';

export const EVENT_KINDS = [
  ...(['state', 'health', 'breaker', 'outlier', 'admin', 'weight', 'registered', 'deregistered'] as const),
  ...(['config', 'alert', 'rollout', 'command', 'discovery'] as const),
] as const;
export type EventKind = (typeof EVENT_KINDS)[number];

/** Epoch milliseconds. */
export interface EventQuery {
  service?: string;
  instance?: string;
  /** Empty: all. */
  kinds: readonly EventKind[];
  since: number;
  until: number;
  limit: number;
  /** `next` of the previous page. */
  before?: EventCursor;
}

/** The last event of a page. */
export interface EventCursor {
  /** Epoch seconds, as stored. */
  timestamp: number;
  id: string;
}

/** One event of history. `service` and `instance` are empty when it concerns the whole site or service. */
export interface HistoryEvent {
  id: string;
  /** Epoch milliseconds. */
  at: number;
  kind: EventKind;
  service: string;
  instance: string;
  from?: string;
  to?: string;
  reason: string;
  by?: string;
  alert?: { id: string; rule: string; severity: string };
}

export interface EventPage {
  /** Newest first. */
  events: HistoryEvent[];
  next: EventCursor | null;
}

interface EventRow extends Record<string, unknown> {
  id: string;
  timestamp: number;
  kind: EventKind;
  service: string;
  instance: string;
  from_state: string | null;
  to_state: string | null;
  reason: string;
  actor: string | null;
  alert_id: string | null;
  rule: string | null;
  severity: string | null;
}

const NO_ALERT = 'NULL::text AS alert_id, NULL::text AS rule, NULL::text AS severity';

/** A source of events: its kinds, and its columns in the order of EventRow. */
interface EventSource {
  kinds: readonly EventKind[];
  columns: string;
  from: string;
  /** The kind, the time, the service and the instance as SQL expressions. */
  kind: string;
  at: string;
  service: string;
  instance: string;
}

const subject = { at: 'timestamp', service: 'service_type', instance: 'instance_id' };
const alert = (options: {
  id: string;
  at: string;
  change: [string, string];
  message: string;
  where: string;
}): EventSource => ({
  kinds: ['alert'],
  columns: `'a' || id || '/${options.id}', ${options.at}, 'alert', service_type, instance_id, ${options.change.join(', ')}, ${options.message}, NULL, id, rule, severity`,
  from: `alerts WHERE ${options.where}`,
  kind: "'alert'",
  service: 'service_type',
  instance: 'instance_id',
  at: options.at,
});

/** An alert's message describes its end once it has ended, so the start then tells rule and duration. */
const STARTED = `CASE WHEN resolved_at IS NULL THEN message
  ELSE rule || ' (' || severity || '), ended after ' || round((resolved_at - started_at)::numeric) || ' s' END`;

const SOURCES: readonly EventSource[] = [
  {
    ...subject,
    kinds: ['state', 'outlier', 'admin', 'weight', 'registered', 'deregistered', 'rollout', 'discovery'],
    columns: `'s' || id AS id, timestamp, kind, service_type AS service, instance_id AS instance, from_state, to_state, reason, actor, ${NO_ALERT}`,
    from: 'state_events WHERE true',
    kind: 'kind',
  },
  {
    ...subject,
    kinds: ['breaker'],
    columns: `'b' || id, timestamp, 'breaker', service_type, instance_id, from_state, to_state, reason, NULL, ${NO_ALERT}`,
    from: 'breaker_events WHERE true',
    kind: "'breaker'",
  },
  {
    ...subject,
    kinds: ['health'],
    columns: `'h' || id, timestamp, 'health', service_type, instance_id, NULL, CASE WHEN is_healthy THEN 'up' ELSE 'down' END,
      coalesce(error_message, CASE WHEN is_healthy THEN 'probes pass' ELSE 'probes fail' END), NULL, ${NO_ALERT}`,
    from: 'service_health_history WHERE true',
    kind: "'health'",
  },
  alert({ id: 'firing', at: 'started_at', change: ['NULL', "'firing'"], message: STARTED, where: 'true' }),
  alert({
    id: 'resolved',
    at: 'resolved_at',
    change: ["'firing'", "'resolved'"],
    message: 'message',
    where: 'resolved_at IS NOT NULL',
  }),
  {
    kinds: ['config', 'command'],
    columns: `'u' || id, timestamp, CASE action WHEN 'config' THEN 'config' ELSE 'command' END, coalesce(detail->>'service', ''), '',
      detail->>'from', detail->>'to', CASE action WHEN 'config' THEN target ELSE action || ' ' || target END, actor, ${NO_ALERT}`,
    // The other tables have the events of these actions.
    from: `audit_log WHERE action NOT IN ('admin', 'weight', 'registered', 'deregistered') AND target NOT LIKE '/v1/config%'`,
    kind: "CASE action WHEN 'config' THEN 'config' ELSE 'command' END",
    at: 'timestamp',
    service: "coalesce(detail->>'service', '')",
    instance: "''",
  },
];

/** One page of events from all tables, newest first. Each table reads at most a page, by its index on time. */
export async function readEvents(database: Queryable, query: EventQuery): Promise<EventPage> {
  const { service, instance, kinds, since, until, limit, before } = query;
  const sources = SOURCES.filter(
    (source) => kinds.length === 0 || source.kinds.some((kind) => kinds.includes(kind)),
  );
  const { rows } = await database.query<EventRow>(
    `SELECT * FROM (${sources.map((source) => `(${pageOf(source)})`).join(' UNION ALL ')}) AS events
     ORDER BY timestamp DESC, id DESC LIMIT $7`,
    [
      since / 1000,
      until / 1000,
      service ?? null,
      instance ?? null,
      before?.timestamp ?? null,
      before?.id ?? null,
      limit + 1,
      kinds.length > 0 ? kinds : null,
      database.site,
    ],
  );
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  return {
    events: page.map(toEvent),
    next: rows.length > limit && last ? { timestamp: last.timestamp, id: last.id } : null,
  };
}

function pageOf({ columns, from, kind, at, service, instance }: EventSource): string {
  return `SELECT page.* FROM (SELECT ${columns} FROM ${from}
    AND site = $9::text AND ${at} >= $1::double precision AND ${at} <= least($2::double precision, coalesce($5::double precision, $2))
    AND ($3::text IS NULL OR ${service} = $3) AND ($4::text IS NULL OR ${instance} = $4)
    AND ($8::text[] IS NULL OR ${kind} = ANY($8))) AS page (id, timestamp, kind, service, instance, from_state, to_state, reason, actor, alert_id, rule, severity)
    WHERE $5::double precision IS NULL OR (timestamp, id) < ($5, $6::text)
    ORDER BY timestamp DESC, id DESC LIMIT $7`;
}

function toEvent(row: EventRow): HistoryEvent {
  const { id, timestamp, kind, service, instance, reason } = row;
  return {
    id,
    at: Math.round(timestamp * 1000),
    kind,
    service,
    instance,
    ...(row.from_state !== null && { from: row.from_state }),
    ...(row.to_state !== null && { to: row.to_state }),
    reason,
    ...(row.actor !== null && { by: row.actor }),
    ...(row.alert_id !== null && {
      alert: { id: row.alert_id, rule: row.rule ?? '', severity: row.severity ?? '' },
    }),
  };
}

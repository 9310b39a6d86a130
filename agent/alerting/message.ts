import type { AlertEvent, AlertRecord, Severity } from './alert.ts';

/** A notification, as webhooks and commands get it in JSON. Instants are ISO 8601. */
export interface AlertMessage {
  event: AlertEvent;
  site: string;
  at: string;
  id: string;
  rule: string;
  /** Null for rules of the site and its host. */
  service: string | null;
  severity: Severity;
  state: AlertRecord['state'];
  value: number;
  threshold: number;
  message: string;
  startedAt: string;
  resolvedAt: string | null;
  /** Notifications since the last change, this one included. */
  notified: number;
}

export function toMessage(event: AlertEvent, alert: AlertRecord, site: string, now: number): AlertMessage {
  const instant = (at: number): string => new Date(at).toISOString();
  return {
    event,
    site,
    at: instant(now),
    id: alert.id,
    rule: alert.rule,
    service: alert.service || null,
    severity: alert.severity,
    state: alert.state,
    value: alert.value,
    threshold: alert.threshold,
    message: alert.message,
    startedAt: instant(alert.startedAt),
    resolvedAt: alert.resolvedAt === null ? null : instant(alert.resolvedAt),
    notified: alert.notified,
  };
}

const VERB: Record<AlertEvent, string> = {
  raised: '',
  escalated: 'escalated: ',
  eased: 'eased: ',
  repeated: 'still firing: ',
  resolved: 'resolved: ',
  test: 'test: ',
};

/** One line: "[main] CRITICAL escalated: gs: p95 latency is 612 ms (…)". */
export const headline = ({ event, site, severity, message }: AlertMessage): string =>
  `[${site}] ${event === 'resolved' ? 'OK' : severity.toUpperCase()} ${VERB[event]}${message}`;

/** Body of an e-mail: the headline, the figures, how to acknowledge. */
export function bodyText(message: AlertMessage): string {
  const { rule, service, value, threshold, startedAt, resolvedAt, notified, id } = message;
  return [
    headline(message),
    '',
    `rule       ${rule}${service ? ` of ${service}` : ''}`,
    `value      ${Number(value.toFixed(3))}, threshold ${threshold}`,
    `since      ${startedAt}${resolvedAt ? `, until ${resolvedAt}` : ''}`,
    ...(notified > 1 ? [`notified   ${notified} times`] : []),
    '',
    ...(resolvedAt ? [] : [`acknowledge with: acgs-lb alerts ack ${id}`]),
  ].join('\n');
}

import type { AlertEvent, AlertRecord } from './alert.ts';
import { type AlertLinks, dashboardLink, runbookLink } from './links.ts';
import type { Severity } from './severity.ts';

/** A notification, as webhooks and commands get it in JSON. Instants are ISO 8601. */
export interface AlertMessage {
  event: AlertEvent;
  site: string;
  at: string;
  id: string;
  rule: string;
  /** Null for rules of the site and its host. */
  service: string | null;
  /** What the alert is about within its rule and service, such as a sink or a file; '' when there is only one. */
  subject: string;
  severity: Severity;
  state: AlertRecord['state'];
  value: number;
  threshold: number;
  message: string;
  startedAt: string;
  resolvedAt: string | null;
  /** Notifications since the last change, this one included. */
  notified: number;
  /** The dashboard; null when `alerts.dashboardUrl` is not set. */
  url: string | null;
  /** Where to read what to do: a URL, or a section of docs/incident.md. */
  runbook: string;
}

/** Where a message comes from and points to. */
export interface MessageContext extends AlertLinks {
  site: string;
  now: number;
}

export function toMessage(event: AlertEvent, alert: AlertRecord, context: MessageContext): AlertMessage {
  const instant = (at: number): string => new Date(at).toISOString();
  return {
    event,
    site: context.site,
    at: instant(context.now),
    id: alert.id,
    rule: alert.rule,
    service: alert.service || null,
    subject: alert.subject,
    severity: alert.severity,
    state: alert.state,
    value: alert.value,
    threshold: alert.threshold,
    message: alert.message,
    startedAt: instant(alert.startedAt),
    resolvedAt: alert.resolvedAt === null ? null : instant(alert.resolvedAt),
    notified: alert.notified,
    url: dashboardLink(context, alert.service),
    runbook: runbookLink(context, alert.rule),
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

/** Body of an e-mail: the headline, the figures, where to look, how to acknowledge. */
export function bodyText(message: AlertMessage): string {
  const { rule, service, value, threshold, startedAt, resolvedAt, notified, id, url, runbook } = message;
  return [
    headline(message),
    '',
    `rule       ${rule}${service ? ` of ${service}` : ''}`,
    `value      ${Number(value.toFixed(3))}, threshold ${threshold}`,
    `since      ${startedAt}${resolvedAt ? `, until ${resolvedAt}` : ''}`,
    ...(notified > 1 ? [`notified   ${notified} times`] : []),
    ...(url ? [`dashboard  ${url}`] : []),
    `runbook    ${runbook}`,
    '',
    ...(resolvedAt ? [] : [`acknowledge with: acgs-lb alerts ack ${id}`]),
  ].join('\n');
}

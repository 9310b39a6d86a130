import { SEVERITIES } from '../../../shared/config/monitor.ts';
import { ruleFamily } from '../conditions/condition.ts';
import { type AlertMessage, headline } from '../message.ts';
import { sendJson } from './post.ts';
import type { DeliverAlert } from './receiver.ts';

/** Without an end, Alertmanager resolves an alert that is not posted again within minutes. */
const FIRING_MS = 7 * 86_400_000;
const TEST_MS = 60_000;

/**
 * Alertmanager API v2: https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml. An alert is its labels.
 * The severity is one of them, because routes match it: a change of severity ends the alert of the other severities.
 */
export const alertmanagerReceiver =
  (fetch: typeof globalThis.fetch, origin: string, headers: Readonly<Record<string, string>>): DeliverAlert =>
  (message) =>
    sendJson({ fetch, url: `${origin.replace(/\/+$/, '')}/api/v2/alerts`, headers }, alertsOf(message));

function alertsOf(message: AlertMessage) {
  const { event, severity, at } = message;
  const now = Date.parse(at);
  if (event === 'raised' || event === 'repeated') return [alertOf(message, severity, now + FIRING_MS)];
  if (event === 'test') return [alertOf(message, severity, now + TEST_MS)];
  return SEVERITIES.map((each) =>
    alertOf(message, each, event !== 'resolved' && each === severity ? now + FIRING_MS : now),
  );
}

function alertOf(message: AlertMessage, severity: AlertMessage['severity'], endsAt: number) {
  const { id, rule, site, service, subject, startedAt, url, runbook } = message;
  return {
    labels: {
      alertname: `acgs_${ruleFamily(rule)}`,
      alert_id: id,
      site,
      severity,
      ...(service ? { service } : {}),
      ...(subject ? { subject } : {}),
    },
    annotations: {
      summary: headline(message),
      description: message.message,
      runbook_url: runbook,
    },
    startsAt: startedAt,
    endsAt: new Date(Math.max(endsAt, Date.parse(startedAt))).toISOString(),
    ...(url ? { generatorURL: url } : {}),
  };
}

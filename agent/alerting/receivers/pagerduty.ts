import { type AlertMessage, headline } from '../message.ts';
import { clip, sendJson } from './post.ts';
import type { DeliverAlert } from './receiver.ts';

const SEVERITY = { warning: 'warning', critical: 'error', emergency: 'critical' } as const;

/**
 * PagerDuty Events API v2: https://developer.pagerduty.com/docs/send-alert-event. The id of the alert is the dedup key, so
 * repeats and escalations update one incident. A test opens an incident and resolves it.
 */
export const pagerdutyReceiver =
  (fetch: typeof globalThis.fetch, url: string, routingKey: string): DeliverAlert =>
  async (message) => {
    const key = { routing_key: routingKey, dedup_key: message.id };
    if (message.event !== 'resolved') {
      await sendJson({ fetch, url }, { ...key, event_action: 'trigger', ...triggerOf(message) });
    }
    if (message.event === 'resolved' || message.event === 'test') {
      await sendJson({ fetch, url }, { ...key, event_action: 'resolve' });
    }
  };

function triggerOf(message: AlertMessage) {
  const { site, service, subject, rule, severity, at, value, threshold, startedAt, url, runbook } = message;
  const links = [
    ...(url ? [{ href: url, text: 'Dashboard' }] : []),
    ...(URL.canParse(runbook) ? [{ href: runbook, text: 'Runbook' }] : []),
  ];
  return {
    payload: {
      summary: clip(headline(message), 1024),
      source: service ?? site,
      severity: message.event === 'test' ? 'info' : SEVERITY[severity],
      timestamp: at,
      component: service ?? (subject || site),
      group: site,
      class: rule,
      custom_details: {
        message: message.message,
        value,
        threshold,
        since: startedAt,
        runbook,
        acknowledge: `acgs-lb alerts ack ${message.id}`,
      },
    },
    client: 'acgs-lb',
    ...(url ? { client_url: url } : {}),
    links,
  };
}

import { type AlertMessage, bodyText, headline } from '../message.ts';
import { clip, sendJson } from './post.ts';
import type { DeliverAlert } from './receiver.ts';

const PRIORITY = { warning: 'P3', critical: 'P2', emergency: 'P1' } as const;
const MESSAGE_LIMIT = 130;

/**
 * Opsgenie Alert API: https://docs.opsgenie.com/docs/alert-api. The id of the alert is the alias, so repeats count up one
 * alert. Creating an alert again does not change its priority or message; these are updated.
 */
export function opsgenieReceiver(
  fetch: typeof globalThis.fetch,
  origin: string,
  apiKey: string,
): DeliverAlert {
  const headers = { authorization: `GenieKey ${apiKey}` };
  const alerts = `${origin.replace(/\/+$/, '')}/v2/alerts`;
  return async (message) => {
    const { id, event } = message;
    const at = (action: string) => `${alerts}/${encodeURIComponent(id)}/${action}?identifierType=alias`;
    const created = alertOf(message);
    if (event !== 'resolved') await sendJson({ fetch, url: alerts, headers }, created);
    if (event === 'escalated' || event === 'eased') {
      const { priority, message: text } = created;
      await sendJson({ fetch, url: at('priority'), headers, method: 'PUT' }, { priority });
      await sendJson({ fetch, url: at('message'), headers, method: 'PUT' }, { message: text });
    }
    if (event === 'resolved' || event === 'test') {
      const note = clip(message.message, 25_000);
      await sendJson({ fetch, url: at('close'), headers }, { source: 'acgs-lb', note });
    }
  };
}

function alertOf(message: AlertMessage) {
  const { id, event, site, service, subject, rule, severity, url, runbook } = message;
  return {
    message: clip(headline(message), MESSAGE_LIMIT),
    alias: id,
    description: clip(bodyText(message), 15_000),
    entity: service ?? (subject || site),
    source: 'acgs-lb',
    priority: event === 'test' ? 'P5' : PRIORITY[severity],
    tags: [site, rule, ...(service ? [service] : [])].map((tag) => clip(tag, 50)),
    details: { site, rule, runbook, ...(url ? { dashboard: url } : {}) },
  };
}

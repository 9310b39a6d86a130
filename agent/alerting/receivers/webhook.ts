import { createHmac } from 'node:crypto';
import { renderTemplate } from '../../../shared/config/template.ts';
import { headline } from '../message.ts';
import { sendText } from './post.ts';
import type { DeliverAlert } from './receiver.ts';

export interface WebhookOptions {
  fetch: typeof globalThis.fetch;
  url: string;
  headers: Readonly<Record<string, string>>;
  /** Key of the signature. */
  secret?: string | undefined;
  template?: string | undefined;
  timeoutMs?: number;
  now?: () => number;
}

/** Posts the message as JSON, or the template with the fields of the message. */
export function webhookReceiver(options: WebhookOptions): DeliverAlert {
  const { fetch, url, headers, secret, template, timeoutMs, now = Date.now } = options;
  return (message) => {
    const body =
      template === undefined
        ? JSON.stringify(message)
        : renderTemplate(template, { ...message, headline: headline(message) });
    const signed = secret === undefined ? {} : { 'x-acgs-signature': signature(secret, body, now()) };
    return sendText({ fetch, url, headers: { ...headers, ...signed }, timeoutMs }, body);
  };
}

/**
 * `t=<epoch seconds>,v1=<hex HMAC-SHA256 of "t.body">`. The time is signed too, so that a receiver can refuse a
 * replayed message.
 */
export function signature(secret: string, body: string, now: number): string {
  const seconds = Math.floor(now / 1000);
  const digest = createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex');
  return `t=${seconds},v1=${digest}`;
}

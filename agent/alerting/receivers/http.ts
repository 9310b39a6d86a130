import { headline } from '../message.ts';
import { type DeliverAlert, RECEIVER_TIMEOUT_MS } from './receiver.ts';

interface PostOptions {
  fetch: typeof globalThis.fetch;
  url: string;
  headers?: Record<string, string>;
  timeoutMs?: number | undefined;
}

/** POSTs JSON. Any status but 2xx fails. So does a redirect: an alert goes only to the configured URL. */
async function post(
  { fetch, url, headers, timeoutMs = RECEIVER_TIMEOUT_MS }: PostOptions,
  body: unknown,
): Promise<void> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify(body),
    redirect: 'error',
    signal: AbortSignal.timeout(timeoutMs),
  });
  await response.body?.cancel();
  if (!response.ok) throw new Error(`HTTP status ${response.status}`);
}

export const webhookReceiver =
  (
    fetch: typeof globalThis.fetch,
    url: string,
    headers: Record<string, string>,
    timeoutMs?: number,
  ): DeliverAlert =>
  (message) =>
    post({ fetch, url, headers, timeoutMs }, message);

const COLORS = {
  warning: '#d97706',
  critical: '#dc2626',
  emergency: '#7f1d1d',
  resolved: '#15803d',
} as const;

/** https://docs.slack.dev/messaging/formatting-message-text. Unescaped, the text of an instance could mention a channel. */
const escapeSlack = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** Slack's incoming webhook: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks */
export const slackReceiver =
  (fetch: typeof globalThis.fetch, url: string, channel: string | undefined): DeliverAlert =>
  (message) => {
    const color = message.event === 'resolved' ? COLORS.resolved : COLORS[message.severity];
    const text = escapeSlack(headline(message));
    return post(
      { fetch, url },
      {
        ...(channel && { channel }),
        text,
        attachments: [{ color, text: `since ${message.startedAt}`, fallback: text }],
      },
    );
  };

import { headline } from '../message.ts';
import { type DeliverAlert, RECEIVER_TIMEOUT_MS } from './receiver.ts';

/** POSTs JSON; anything but 2xx is a failure, a redirect too: an alert goes where the file says and nowhere else. */
async function post(
  fetch: typeof globalThis.fetch,
  url: string,
  headers: Record<string, string>,
  body: unknown,
  timeoutMs = RECEIVER_TIMEOUT_MS,
): Promise<void> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify(body),
    redirect: 'error',
    signal: AbortSignal.timeout(timeoutMs),
  });
  await response.body?.cancel();
  if (!response.ok) throw new Error(`answered ${response.status}`);
}

export const webhookReceiver =
  (
    fetch: typeof globalThis.fetch,
    url: string,
    headers: Record<string, string>,
    timeoutMs?: number,
  ): DeliverAlert =>
  (message) =>
    post(fetch, url, headers, message, timeoutMs);

const COLOURS = { warning: '#d97706', critical: '#dc2626', emergency: '#7f1d1d' } as const;

/** https://docs.slack.dev/messaging/formatting-message-text: else words of an instance could call a whole channel. */
const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** Slack's incoming webhook: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks */
export const slackReceiver =
  (fetch: typeof globalThis.fetch, url: string, channel: string | undefined): DeliverAlert =>
  (message) => {
    const color = message.event === 'resolved' ? '#15803d' : COLOURS[message.severity];
    const text = escaped(headline(message));
    return post(
      fetch,
      url,
      {},
      {
        ...(channel ? { channel } : {}),
        text,
        attachments: [{ color, text: `since ${message.startedAt}`, fallback: text }],
      },
    );
  };

import { headline } from '../message.ts';
import { colorOf } from './color.ts';
import { sendJson } from './post.ts';
import type { DeliverAlert } from './receiver.ts';

/** https://docs.slack.dev/messaging/formatting-message-text. Unescaped, the text of an instance could mention a channel. */
const escapeSlack = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** Slack's incoming webhook: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks */
export const slackReceiver =
  (fetch: typeof globalThis.fetch, url: string, channel: string | undefined): DeliverAlert =>
  (message) => {
    const text = escapeSlack(headline(message));
    const details = [
      `since ${message.startedAt}`,
      ...(message.url ? [`<${message.url}|Dashboard>`] : []),
      `Runbook: ${escapeSlack(message.runbook)}`,
    ];
    return sendJson(
      { fetch, url },
      {
        ...(channel && { channel }),
        text,
        attachments: [{ color: colorOf(message), text: details.join('\n'), fallback: text }],
      },
    );
  };

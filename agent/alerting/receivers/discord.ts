import { headline } from '../message.ts';
import { colorOf } from './color.ts';
import { clip, sendJson } from './post.ts';
import type { DeliverAlert } from './receiver.ts';

/** Discord shows Markdown. Escaped, the text of an instance adds no link and no formatting. */
const escapeMarkdown = (text: string): string => text.replace(/[\\*_~`|>[\]()<#@:-]/g, '\\$&');

/** Discord's webhook: https://discord.com/developers/docs/resources/webhook#execute-webhook. It mentions no one. */
export const discordReceiver =
  (fetch: typeof globalThis.fetch, url: string): DeliverAlert =>
  (message) => {
    const { site, service, severity, at, startedAt, runbook } = message;
    const field = (name: string, value: string) => ({ name, value: clip(value, 1024), inline: true });
    return sendJson(
      { fetch, url },
      {
        username: 'acgs-lb',
        allowed_mentions: { parse: [] },
        embeds: [
          {
            title: `${message.event === 'resolved' ? 'OK' : severity.toUpperCase()} ${service ?? site}`,
            description: clip(escapeMarkdown(headline(message)), 4096),
            color: Number.parseInt(colorOf(message).slice(1), 16),
            timestamp: at,
            fields: [field('Site', site), field('Since', startedAt), field('Runbook', runbook)],
            ...(message.url ? { url: message.url } : {}),
          },
        ],
      },
    );
  };

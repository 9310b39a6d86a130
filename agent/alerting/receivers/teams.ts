import { type AlertMessage, headline } from '../message.ts';
import { clip, sendJson } from './post.ts';
import type { DeliverAlert } from './receiver.ts';

const COLOR = { warning: 'Warning', critical: 'Attention', emergency: 'Attention' } as const;

/**
 * A workflow of Microsoft Teams ("when a webhook request is received"): an Adaptive Card in a message,
 * https://adaptivecards.io/explorer. Text runs show text as it is; a text block would interpret Markdown in it.
 */
export const teamsReceiver =
  (fetch: typeof globalThis.fetch, url: string): DeliverAlert =>
  (message) =>
    sendJson(
      { fetch, url },
      {
        type: 'message',
        attachments: [
          {
            contentType: 'application/vnd.microsoft.card.adaptive',
            contentUrl: null,
            content: cardOf(message),
          },
        ],
      },
    );

function cardOf(message: AlertMessage) {
  const { event, severity, site, startedAt, resolvedAt, url, runbook } = message;
  const color = event === 'resolved' ? 'Good' : COLOR[severity];
  const line = (text: string, more: object = {}) => ({
    type: 'RichTextBlock',
    inlines: [{ type: 'TextRun', text, ...more }],
  });
  const links: [string, string | null][] = [
    ['Dashboard', url],
    ['Runbook', URL.canParse(runbook) ? runbook : null],
  ];
  return {
    $schema: 'http://adaptivecards.io/schemas/adaptive-card.json',
    type: 'AdaptiveCard',
    version: '1.4',
    body: [
      line(clip(headline(message), 2_000), { weight: 'Bolder', color }),
      line(`site ${site}, since ${startedAt}${resolvedAt ? `, until ${resolvedAt}` : ''}`),
      line(`Runbook: ${runbook}`),
    ],
    actions: links.flatMap(([title, target]) =>
      target === null ? [] : [{ type: 'Action.OpenUrl', title, url: target }],
    ),
    msteams: { width: 'Full' },
  };
}

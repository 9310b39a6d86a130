import { createHmac } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import pino from 'pino';
import { afterEach, expect, test } from 'vitest';
import { z } from 'zod';
import { parseConfig } from '../../../shared/config/load.ts';
import type { AlertMessage } from '../message.ts';
import { openReceiver } from './open.ts';

/**
 * Each receiver against a server that accepts only what the vendor's published schema allows, with the limits of its
 * documentation, and answers as the vendor does.
 */

const SECRETS: Readonly<Record<string, string>> = {
  PAGER: '0123456789abcdef0123456789abcdef',
  GENIE: 'eb243592-faa2-4ba2-a551-1afdf565c889',
  HOOK: 'hush',
};
const message = (more: Partial<AlertMessage> = {}): AlertMessage => ({
  event: 'raised',
  site: 'main',
  at: '2027-01-01T00:00:30.000Z',
  id: '1a305c29-1111-4222-8333-444455556666',
  rule: 'redundancyLost',
  service: 'gs',
  subject: '',
  severity: 'critical',
  state: 'firing',
  value: 1,
  threshold: 2,
  message: 'gs: only gs-1 serves (1 of 2); gs-2: 3 of 3 probes failed: connect refused',
  startedAt: '2027-01-01T00:00:20.000Z',
  resolvedAt: null,
  notified: 1,
  url: 'https://lb.example/#/gs',
  runbook: 'https://wiki.example/incident#alert-instance-down',
  ...more,
});
const resolved = message({
  event: 'resolved',
  state: 'resolved',
  message: 'gs: all 2 instances serve again',
  resolvedAt: '2027-01-01T00:01:00.000Z',
  at: '2027-01-01T00:01:00.000Z',
});
/** The longest and the worst text that an instance can cause. */
const hostile = message({
  message: `[x](http://evil.example) @everyone <!channel> "\\ \n ${'€'.repeat(30_000)}`,
});
const events: AlertMessage[] = [
  message(),
  message({ event: 'repeated', notified: 2 }),
  message({ event: 'escalated', severity: 'emergency', rule: 'serviceDown' }),
  message({ event: 'eased', severity: 'warning', rule: 'instanceDown' }),
  message({ event: 'test', severity: 'warning', service: null }),
  message({ service: null, subject: '10.0.0.9', url: null, runbook: 'docs/incident.md#alert-instance-down' }),
  hostile,
  resolved,
];

interface Received {
  method: string;
  path: string;
  headers: Record<string, string | string[] | undefined>;
  text: string;
  body: unknown;
}
type Vendor = (request: Received) => { schema: z.ZodType; status: number };

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

/** Answers 400 with the schema's error to anything that the vendor would refuse. */
async function startVendor(vendor: Vendor): Promise<{ url: string; accepted: Received[]; errors: string[] }> {
  const [accepted, errors]: [Received[], string[]] = [[], []];
  const listening = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    request.on('end', () => {
      const { method = '', url: path = '', headers } = request;
      const received = { method, path, headers, text, body: JSON.parse(text) as unknown };
      const { schema, status } = vendor(received);
      const result = schema.safeParse(received.body);
      if (headers['content-type'] !== 'application/json') errors.push('content type');
      if (result.success) accepted.push(received);
      else errors.push(z.prettifyError(result.error));
      response.writeHead(result.success ? status : 400).end('{}');
    });
  });
  server = listening;
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(listening.address() as AddressInfo).port}`, accepted, errors };
}

/** The receiver `one` as the configuration describes it. */
function open(yaml: string, variables: Readonly<Record<string, string>> = {}) {
  const config = parseConfig(`
version: 1
site: { id: main }
services: { gs: { routes: [/] } }
alerts: { receivers: { one: ${yaml} } }
`);
  const receiver = config.alerts.receivers.one;
  if (!receiver) throw new Error('no receiver');
  return openReceiver(receiver, {
    log: pino({ level: 'silent' }),
    variable: (name) => ({ ...SECRETS, ...variables })[name],
    // The machine may be slow.
    fetch: (input, init) => fetch(input, { ...init, signal: null }),
  });
}
const characters = (limit: number) =>
  z.string().refine((text) => [...text].length <= limit && text.length > 0);

// https://developer.pagerduty.com/docs/send-alert-event
const pagerdutyKey = { routing_key: z.string().length(32), dedup_key: characters(255) };
const pagerduty = z.discriminatedUnion('event_action', [
  z.strictObject({
    ...pagerdutyKey,
    event_action: z.literal('trigger'),
    payload: z.strictObject({
      summary: characters(1024),
      source: z.string().min(1),
      severity: z.enum(['critical', 'error', 'warning', 'info']),
      timestamp: z.iso.datetime().optional(),
      component: z.string().optional(),
      group: z.string().optional(),
      class: z.string().optional(),
      custom_details: z.record(z.string(), z.unknown()).optional(),
    }),
    images: z.array(z.strictObject({ src: z.url(), href: z.url(), alt: z.string() })).optional(),
    links: z.array(z.strictObject({ href: z.url(), text: z.string() })).optional(),
    client: z.string().optional(),
    client_url: z.url().optional(),
  }),
  z.strictObject({ ...pagerdutyKey, event_action: z.enum(['acknowledge', 'resolve']) }),
]);

test('PagerDuty: one incident by the id of the alert, closed by its resolution', async () => {
  const { url, accepted, errors } = await startVendor(() => ({ schema: pagerduty, status: 202 }));
  const deliver = open(`{ type: pagerduty, routingKey: '\${PAGER}', url: '${url}/v2/enqueue' }`);
  for (const event of events) await deliver(event);
  expect(errors).toEqual([]);
  const sent = accepted.map(({ body }) => body as z.infer<typeof pagerduty>);
  expect(sent.map(({ event_action }) => event_action)).toEqual([
    ...['trigger', 'trigger', 'trigger', 'trigger', 'trigger', 'resolve', 'trigger', 'trigger', 'resolve'],
  ]);
  expect(new Set(sent.map(({ dedup_key }) => dedup_key))).toEqual(new Set([message().id]));
  expect(sent[0]).toMatchObject({
    payload: { severity: 'error', custom_details: { runbook: message().runbook } },
    client_url: message().url,
    links: [{ text: 'Dashboard' }, { text: 'Runbook' }],
  });
});

// https://docs.opsgenie.com/docs/alert-api
const priority = z.enum(['P1', 'P2', 'P3', 'P4', 'P5']);
const opsgenieCreate = z.strictObject({
  message: characters(130),
  alias: characters(512).optional(),
  description: characters(15_000).optional(),
  entity: characters(512).optional(),
  source: characters(100).optional(),
  priority: priority.optional(),
  tags: z.array(characters(50)).max(20).optional(),
  details: z
    .record(z.string(), z.string())
    .refine((details) => JSON.stringify(details).length <= 8_000)
    .optional(),
});
const opsgenieActions: Readonly<Record<string, z.ZodType>> = {
  'POST close': z.strictObject({
    user: characters(100).optional(),
    source: characters(100),
    note: characters(25_000),
  }),
  'PUT priority': z.strictObject({ priority }),
  'PUT message': z.strictObject({ message: characters(130) }),
};

test('Opsgenie: created by alias, its priority updated, closed by alias', async () => {
  const actions: string[] = [];
  const { url, accepted, errors } = await startVendor(({ method, path, headers }) => {
    expect(headers.authorization).toBe(`GenieKey ${SECRETS.GENIE}`);
    if (method === 'POST' && path === '/v2/alerts') {
      actions.push('create');
      return { schema: opsgenieCreate, status: 202 };
    }
    const [, alias = '', action = ''] =
      /^\/v2\/alerts\/([^/]+)\/(\w+)\?identifierType=alias$/.exec(path) ?? [];
    expect(alias).toBe(message().id);
    actions.push(action);
    return { schema: opsgenieActions[`${method} ${action}`] ?? z.never(), status: 202 };
  });
  const deliver = open(`{ type: opsgenie, apiKey: '\${GENIE}', url: '${url}' }`);
  for (const event of events) await deliver(event);
  expect(errors).toEqual([]);
  expect(actions.join(' ')).toBe(
    'create create create priority message create priority message create close create create close',
  );
  expect(accepted[0]?.body).toMatchObject({ priority: 'P2', alias: message().id });
  expect(accepted[2]?.body).toMatchObject({ priority: 'P1' });
});

// https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml, and the rules for label names
const labelSet = z.record(z.string().regex(/^[a-zA-Z_][a-zA-Z0-9_]*$/), z.string());
const alertmanager = z.array(
  z
    .strictObject({
      startsAt: z.iso.datetime().optional(),
      endsAt: z.iso.datetime().optional(),
      annotations: labelSet.optional(),
      labels: labelSet.refine((labels) => Boolean(labels.alertname) && Object.values(labels).every(Boolean)),
      generatorURL: z.url().optional(),
    })
    .refine(({ startsAt = '', endsAt = '' }) => Date.parse(startsAt) <= Date.parse(endsAt)),
);

test('Alertmanager: exactly the present severity fires, none after the resolution', async () => {
  const { url, accepted, errors } = await startVendor(({ path, headers }) => {
    expect(path).toBe('/am/api/v2/alerts');
    expect(headers.authorization).toBe('Bearer hush');
    return { schema: alertmanager, status: 200 };
  });
  const deliver = open(
    `{ type: alertmanager, url: '${url}/am/', headers: { authorization: 'Bearer \${HOOK}' } }`,
  );
  // Alertmanager's own state: an alert is its labels, and fires until its end.
  const firing = new Map<string, string>();
  const severities: string[][] = [];
  for (const event of events) {
    await deliver(event);
    for (const { labels, endsAt = '' } of accepted
      .splice(0)
      .flatMap(({ body }) => body as z.infer<typeof alertmanager>)) {
      if (labels.service !== 'gs') continue;
      const key = JSON.stringify(labels);
      if (Date.parse(endsAt) > Date.parse(event.at)) firing.set(key, labels.severity ?? '');
      else firing.delete(key);
    }
    severities.push([...firing.values()]);
  }
  expect(errors).toEqual([]);
  expect(severities.slice(0, 4)).toEqual([['critical'], ['critical'], ['emergency'], ['warning']]);
  expect(severities.at(-1)).toEqual([]);
});

// https://adaptivecards.io/explorer (1.4), in the message of an incoming webhook
const textRun = z.strictObject({
  type: z.literal('TextRun'),
  text: z.string(),
  weight: z.enum(['Default', 'Lighter', 'Bolder']).optional(),
  color: z.enum(['Default', 'Dark', 'Light', 'Accent', 'Good', 'Warning', 'Attention']).optional(),
});
const teams = z.strictObject({
  type: z.literal('message'),
  attachments: z
    .array(
      z.strictObject({
        contentType: z.literal('application/vnd.microsoft.card.adaptive'),
        contentUrl: z.null(),
        content: z.strictObject({
          $schema: z.url(),
          type: z.literal('AdaptiveCard'),
          version: z.enum(['1.2', '1.3', '1.4', '1.5']),
          body: z.array(z.strictObject({ type: z.literal('RichTextBlock'), inlines: z.array(textRun) })),
          actions: z.array(
            z.strictObject({ type: z.literal('Action.OpenUrl'), title: z.string(), url: z.url() }),
          ),
          msteams: z.strictObject({ width: z.literal('Full') }),
        }),
      }),
    )
    .length(1),
});
/** A message has at most 28 KB. */
const TEAMS_BYTES = 28_000;

test('Teams: a card of text runs, which show Markdown as it is', async () => {
  const { url, accepted, errors } = await startVendor(() => ({ schema: teams, status: 202 }));
  const deliver = open(`{ type: teams, url: '\${TEAMS}' }`, { TEAMS: `${url}/workflows/1?sig=hush` });
  for (const event of events) await deliver(event);
  expect(errors).toEqual([]);
  expect(accepted).toHaveLength(events.length);
  expect(accepted.every(({ text }) => Buffer.byteLength(text) <= TEAMS_BYTES)).toBe(true);
  expect(accepted[0]?.path).toBe('/workflows/1?sig=hush');
  expect(accepted[0]?.text).toContain(message().runbook);
});

// https://discord.com/developers/docs/resources/webhook#execute-webhook, .../message#embed-object-embed-limits
const discord = z
  .strictObject({
    username: characters(80).refine((name) => !/clyde|discord/i.test(name)),
    allowed_mentions: z.strictObject({ parse: z.array(z.enum(['roles', 'users', 'everyone'])).length(0) }),
    embeds: z
      .array(
        z.strictObject({
          title: characters(256),
          description: characters(4096),
          url: z.url().optional(),
          timestamp: z.iso.datetime(),
          color: z.int().min(0).max(0xffffff),
          fields: z
            .array(z.strictObject({ name: characters(256), value: characters(1024), inline: z.boolean() }))
            .max(25),
        }),
      )
      .max(10),
  })
  .refine(({ embeds }) => JSON.stringify(embeds).length <= 6_000);

test('Discord: an embed within its limits that mentions no one and adds no link', async () => {
  const { url, accepted, errors } = await startVendor(() => ({ schema: discord, status: 204 }));
  const deliver = open(`{ type: discord, url: '\${DISCORD}' }`, { DISCORD: `${url}/api/webhooks/1/hush` });
  for (const event of events) await deliver(event);
  expect(errors).toEqual([]);
  expect(accepted).toHaveLength(events.length);
  expect(accepted[6]?.text).not.toContain('[x](http');
});

test('Webhook: the signature covers time and body; a template stays JSON whatever the text', async () => {
  const { url, accepted, errors } = await startVendor(() => ({ schema: z.looseObject({}), status: 204 }));
  const signed = open(`{ type: webhook, url: '${url}/in', secret: '\${HOOK}' }`);
  await signed(message());
  const [, seconds, digest] =
    /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(accepted[0]?.headers['x-acgs-signature'])) ?? [];
  expect(digest).toBe(createHmac('sha256', 'hush').update(`${seconds}.${accepted[0]?.text}`).digest('hex'));
  expect(accepted[0]?.body).toEqual(message());

  const template = open(
    `{ type: webhook, url: '${url}/in', template: '{"text": "{{ headline }}", "value": {{value}}, "to": "{{service}}"}' }`,
  );
  await template(hostile);
  expect(accepted[1]?.body).toEqual({
    text: `[main] CRITICAL ${hostile.message}`,
    value: 1,
    to: 'gs',
  });
  expect(errors).toEqual([]);
});

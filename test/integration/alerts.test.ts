import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { SMTPServer } from 'smtp-server';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { createAlertManager } from '../../agent/alerting/alert-manager.ts';
import { createDispatcher, type Dispatcher } from '../../agent/alerting/dispatcher.ts';
import type { AlertMessage } from '../../agent/alerting/message.ts';
import type { AlertStore } from '../../agent/alerting/store.ts';
import { summarizeTraffic } from '../../agent/alerting/summary.ts';
import { createTrafficWindow } from '../../agent/core/traffic-window.ts';
import { freePort } from '../../dev/ports.ts';
import { parseConfig } from '../../shared/config/load.ts';
import { eventually } from '../harness/eventually.ts';
import { requestsOf } from '../harness/requests.ts';

const log = pino({ level: 'silent' });
const folder = mkdtempSync(join(tmpdir(), 'acgs-alerts-'));
const mails: string[] = [];
const posts: AlertMessage[] = [];
let mailAuth = '';
/** Number of requests that the webhook rejects before it accepts one. */
let refusals = 0;
let smtp: SMTPServer;
let web: Server;
let deadPort: number;

beforeAll(async () => {
  deadPort = await freePort();
  smtp = new SMTPServer({
    closeTimeout: 1_000,
    disabledCommands: ['STARTTLS'],
    allowInsecureAuth: true,
    onAuth({ username, password }, _session, done) {
      mailAuth = `${username}:${password}`;
      done(null, { user: username });
    },
    onData(stream, _session, done) {
      let text = '';
      stream.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      stream.on('end', () => {
        mails.push(text);
        done();
      });
    },
  });
  // The sender notices a broken connection.
  smtp.on('error', () => {});
  web = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    request.on('end', () => {
      if (refusals-- > 0) {
        response.writeHead(500).end();
        return;
      }
      posts.push(JSON.parse(text) as AlertMessage);
      response.writeHead(204).end();
    });
  });
  await Promise.all([
    new Promise<void>((resolve) => smtp.listen(0, '127.0.0.1', resolve)),
    new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve)),
  ]);
});
/** Each test, and each retry, starts with no notification. */
const opened: Dispatcher[] = [];
beforeEach(() => {
  mails.length = posts.length = refusals = 0;
  rmSync(commandFile(), { force: true });
});
afterEach(async () => {
  for (const dispatcher of opened.splice(0)) await dispatcher.close(60_000);
});
afterAll(async () => {
  await new Promise<void>((resolve) => smtp.close(resolve));
  await new Promise((resolve) => web.close(resolve));
  rmSync(folder, { recursive: true, force: true });
});

const port = (server: { address(): unknown }): number => (server.address() as AddressInfo).port;
const commandFile = () => join(folder, 'delivered');

const configOf = () =>
  parseConfig(`
version: 1
site: { id: main }
services: { gs: { routes: [/], instances: [{ id: gs-1, url: 'http://127.0.0.1:1' }] } }
alerts:
  receivers:
    hook: { type: webhook, url: 'http://127.0.0.1:${port(web)}/alert', headers: { x-key: '\${HOOK_KEY}' } }
    chat: { type: slack, channel: '#ops' }
    mail: { type: email, from: lb@example.net, to: [ops@example.net] }
    call: { type: command, argv: [/bin/sh, -c, 'cat >> "$1"', sh, '${commandFile()}'], timeout: 60s }
    dead: { type: webhook, url: 'http://127.0.0.1:${deadPort}/' }
    slow: { type: command, argv: [/bin/sleep, '60'], timeout: 200ms }
  routes:
    - { severities: [warning], to: [call] }
    - { severities: [critical, emergency], to: [dead, slow, hook, chat, mail, call] }
`);

const store: AlertStore = {
  save: () => {},
  acknowledge: () => {},
  firing: async () => [],
  recent: async () => [],
  silences: async () => [],
  saveSilence: async () => {},
  removeSilence: async () => {},
};

function open() {
  const config = configOf();
  const dispatcher = createDispatcher({
    config: () => config.alerts,
    deps: {
      smtpUrl: `smtp://lb:pass%40word@127.0.0.1:${port(smtp.server)}`,
      slackWebhookUrl: `http://127.0.0.1:${port(web)}/slack`,
      // No timeout: on a busy machine a retry would deliver the message twice.
      fetch: (url, init) => fetch(url, { ...init, signal: null }),
      variable: () => 'k',
      log,
    },
    log,
    retryMs: [20, 20, 20],
  });
  opened.push(dispatcher);
  const alerts = createAlertManager({ config: () => config, store, dispatcher, log, isLeader: () => true });
  /** A summary in which every request took `ms`. */
  const slow = (ms: number) => {
    const window = createTrafficWindow();
    window.addRequests(requestsOf(0, 100, 0, { ms }));
    return summarizeTraffic({ config, window, instances: [], now: 2, since: 0 });
  };
  return { alerts, dispatcher, slow };
}

test('raised, escalated and resolved reach mail, webhook, Slack and a command, despite dead and slow receivers', async () => {
  const { alerts, dispatcher, slow } = open();
  refusals = 2;
  for (const ms of [450, 450, 600, 1500, 10, 10]) await alerts.evaluate(slow(ms));
  const hook = () => posts.filter((post) => 'event' in post);
  await eventually(() => expect(hook().length).toBe(3));
  expect(hook().map(({ event, severity }) => `${event} ${severity}`)).toEqual([
    'escalated critical',
    'escalated emergency',
    'resolved emergency',
  ]);
  expect(hook()[0]).toMatchObject({
    site: 'main',
    rule: 'p95Ms',
    service: 'gs',
    threshold: 500,
    state: 'firing',
  });
  await eventually(() => expect(posts.filter((post) => 'attachments' in post)).toHaveLength(3));

  // A retry may deliver a mail twice, so count the subjects.
  const subjects = () => new Set(mails.map((text) => /^Subject: .*/m.exec(text)?.[0]));
  await eventually(() => expect(subjects().size).toBe(3));
  expect(mailAuth).toBe('lb:pass@word');
  expect(mails[0]).toMatch(/^Subject: \[main\] CRITICAL escalated: gs: p95 latency/m);
  expect(mails[0]).toContain('acgs-lb alerts ack');
  expect(mails.at(-1)).toMatch(/^Subject: \[main\] OK resolved: gs: p95 latency/m);

  const events = () =>
    readFileSync(commandFile(), 'utf8')
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as AlertMessage).event);
  await eventually(() => expect(events()).toEqual(['raised', 'escalated', 'escalated', 'resolved']));

  // The receivers of the critical notification get both eased and resolved.
  for (const ms of [600, 420, 420, 10, 10]) await alerts.evaluate(slow(ms));
  await eventually(() =>
    expect(hook().slice(3)).toMatchObject([
      { event: 'raised', severity: 'critical' },
      { event: 'eased', severity: 'warning' },
      { event: 'resolved', severity: 'warning' },
    ]),
  );
  await eventually(() => expect(events().slice(4)).toEqual(['raised', 'eased', 'resolved']));

  await eventually(() => expect(dispatcher.status().dead).toMatchObject({ failed: 6, delivered: 0 }));
  expect(dispatcher.status().dead?.lastError).toContain('ECONNREFUSED');
  await eventually(() => expect(dispatcher.status().slow?.lastError).toMatch(/killed by SIGKILL/));
});

test('a test message reports the result of each receiver', async () => {
  const { alerts } = open();
  const test = async (only?: string) =>
    Object.fromEntries((await alerts.sendTest(only)).map(({ receiver, error }) => [receiver, error]));
  // Retries: the mail server runs in this process and may respond too late.
  await eventually(async () =>
    expect(await test()).toMatchObject({
      hook: null,
      chat: null,
      mail: null,
      call: null,
      dead: expect.stringContaining('ECONNREFUSED'),
      slow: expect.stringMatching(/killed by SIGKILL/),
    }),
  );
  mails.length = 0;
  await eventually(async () => expect(await test('mail')).toEqual({ mail: null }));
  expect(mails.at(-1)).toContain('this is a test; no action is needed');
  expect(await alerts.sendTest('unknown')).toEqual([]);
});

test('an alert is sent while the database hangs', async () => {
  const config = configOf();
  const sent: string[] = [];
  const never = new Promise<never>(() => {});
  const alerts = createAlertManager({
    config: () => config,
    store: { ...store, firing: () => never, silences: () => never },
    dispatcher: {
      send: ({ event }) => sent.push(event),
      test: async () => [],
      status: () => ({}),
      close: async () => {},
    },
    log,
    isLeader: () => true,
  });
  await alerts.evaluate(open().slow(600));
  expect(sent).toEqual(['raised']);
});

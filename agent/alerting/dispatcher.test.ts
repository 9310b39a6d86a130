import pino from 'pino';
import { expect, test } from 'vitest';
import { parseConfig } from '../../shared/config/load.ts';
import { eventually } from '../../test/harness/eventually.ts';
import { receiverConditions } from './conditions/receivers.ts';
import { createDispatcher } from './dispatcher.ts';
import type { AlertMessage } from './message.ts';

const config = parseConfig(`
version: 1
site: { id: main }
services: { gs: { routes: [/], instances: [{ id: gs-1, url: 'http://127.0.0.1:1' }] } }
alerts:
  receivers:
    dead: { type: webhook, url: 'http://dead.example/', headers: { x-key: '\${HOOK_KEY}' } }
    well: { type: webhook, url: 'http://well.example/' }
  routes: [{ severities: [warning, critical, emergency], to: [dead, well] }]
`);
const message = (notified: number): AlertMessage => ({
  event: 'repeated',
  site: 'main',
  at: '2027-01-01T00:00:00.000Z',
  id: 'a',
  rule: 'p95Ms',
  service: 'gs',
  severity: 'critical',
  state: 'firing',
  value: 1,
  threshold: 1,
  message: 'm',
  notified,
  startedAt: '2027-01-01T00:00:00.000Z',
  resolvedAt: null,
  subject: '',
  url: null,
  runbook: 'docs/incident.md#alert-slow',
});

test('a dead receiver keeps the newest hundred messages, delays no other, and logs no secret', async () => {
  const lines: string[] = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => lines.push(line) });
  const received: number[] = [];
  let alive = false;
  const fetch = async (url: string | URL | Request, request?: RequestInit): Promise<Response> => {
    const { notified } = JSON.parse(String(request?.body)) as AlertMessage;
    if (String(url).includes('dead')) {
      if (!alive) throw new TypeError('fetch failed', { cause: new Error('connect ECONNREFUSED') });
      received.push(notified);
    }
    return new Response(null, { status: 204 });
  };
  // More retries than the test can use up.
  const manyRetries = Array.from({ length: 100_000 }, () => 5);
  const dispatcher = createDispatcher({
    config: () => config.alerts,
    deps: { log, fetch, variable: () => 'hush' },
    log,
    retryMs: manyRetries,
  });
  for (let index = 1; index <= 500; index++) dispatcher.send(message(index));
  await eventually(() => expect(dispatcher.status().well).toMatchObject({ delivered: 101 }));
  for (let index = 501; index <= 600; index++) {
    dispatcher.send(message(index));
    await eventually(() => expect(dispatcher.status().well?.pending).toBe(0));
  }
  expect(dispatcher.status().dead).toMatchObject({ pending: 101, delivered: 0, failed: 499 });
  alive = true;
  await eventually(() => expect(dispatcher.status().dead).toMatchObject({ pending: 0, delivered: 101 }));
  expect(received).toEqual([1, ...Array.from({ length: 100 }, (_, index) => 501 + index)]);
  await dispatcher.close(1_000);
  expect(lines.join()).toContain('ECONNREFUSED');
  expect(lines.join()).not.toContain('hush');
});

test('a message queued just as the queue runs empty is delivered too', async () => {
  for (let turns = 0; turns < 40; turns++) {
    const fetch = async (): Promise<Response> => new Response(null, { status: 204 });
    const log = pino({ level: 'silent' });
    const dispatcher = createDispatcher({
      config: () => config.alerts,
      deps: { log, fetch, variable: () => 'hush' },
      log,
    });
    dispatcher.send(message(1));
    for (let turn = 0; turn < turns; turn++) await null;
    dispatcher.send(message(2));
    await eventually(() => expect(dispatcher.status().well).toMatchObject({ pending: 0, delivered: 2 }));
  }
});

test('the result of a test delivery is the state of the receiver, until the next delivery', async () => {
  let alive = false;
  const fetch = async (): Promise<Response> => {
    if (!alive) throw new TypeError('fetch failed', { cause: new Error('connect ECONNREFUSED') });
    return new Response(null, { status: 204 });
  };
  const log = pino({ level: 'silent' });
  const dispatcher = createDispatcher({
    config: () => config.alerts,
    deps: { log, fetch, variable: () => 'hush' },
    log,
  });
  const { receivers: configured } = config.alerts;
  const found = (open: string[] = []) =>
    receiverConditions({ receivers: dispatcher.status(), configured, open: new Set(open) });
  const key = 'receiverFailing  well';
  // After a restart nothing is known: an alert stays open, and no new one is raised.
  expect(found()).toEqual([]);
  expect(found([key])).toMatchObject([{ subject: 'well', message: expect.stringContaining('no delivery') }]);
  await dispatcher.test(message(1), 'well');
  expect(found()).toMatchObject([{ rule: 'receiverFailing', subject: 'well', severity: 'warning' }]);
  expect(found()[0]?.message).toContain('ECONNREFUSED');
  expect(receiverConditions({ receivers: dispatcher.status(), configured: {}, open: new Set() })).toEqual([]);
  alive = true;
  await dispatcher.test(message(2), 'well');
  expect(found([key])).toEqual([]);
  expect(dispatcher.status().well).toMatchObject({ delivered: 0, failed: 0, pending: 0 });
});

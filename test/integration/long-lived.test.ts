import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, expect, test } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import type { Origin } from '../harness/origin.ts';
import { until } from '../harness/until.ts';
import {
  type HaproxyHarness,
  type ReconciledHaproxy,
  releaseAfterTests,
  startBeforeTests,
  startHaproxyHarness,
  startOrigins,
  startSink,
} from './haproxy-harness.ts';

let harness: HaproxyHarness;
let reconciled: ReconciledHaproxy;
let origins: Origin[] = [];
const MAXCONN = 4;
const LONG_LIVED = 20;

startBeforeTests(async () => {
  origins = await startOrigins('gs-1', 'gs-2');
  for (const { name, answer } of origins) {
    answer(({ url }, response) => {
      // An event stream, or a held answer without headers.
      if (url === '/events')
        response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': open\n\n');
      else if (url === '/public')
        response.writeHead(200, { 'cache-control': 'public, max-age=60' }).end(name);
      else if (url === '/session/other') response.writeHead(400).end();
      else if (url === '/held') setTimeout(() => response.end(name), 1_100);
      else if (url !== '/poll') response.end(name);
    });
  }
  harness = await startHaproxyHarness({
    services: `gs:
  routes: [/]
  maxconn: ${MAXCONN}
  longLived: { maxconn: ${LONG_LIVED}, paths: [/poll] }
  instances:
    - { id: gs-1, url: "${origins[0]?.url}" }
    - { id: gs-2, url: "${origins[1]?.url}" }
up:
  routes: [/up]
  timeout: 1s
  instances: [ { id: up-1, url: "${origins[0]?.url}" } ]`,
    haproxy: 'rateLimit: off',
  });
  reconciled = await startSink(harness);
  await until(async () => (await harness.execute('show servers state')).includes('gs-2'));
});

/** Opens connections that stay open; each promise resolves with the response headers, if there are any. */
const held: ClientRequest[] = [];
releaseAfterTests(async () => {
  for (const one of held) one.destroy();
});

/** Each test starts without long-lived connections. */
beforeEach(async () => {
  for (const one of held.splice(0)) one.destroy();
  const left = async () =>
    /^gs:long,BACKEND,\d+,\d+,(\d+),/m.exec(await harness.execute('show stat gs:long 2 -1'))?.[1];
  expect(await until(async () => (await left()) === '0')).toBe(true);
});

function hold(path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const client = request(`${harness.gateway}${path}`, { method, headers, agent: false }, resolve);
    client.end();
    client.on('error', reject);
    client.on('upgrade', resolve);
    held.push(client);
  });
}

/** The newest gauge of each instance. */
const gauges = (of: 'longLived' | 'inflight') =>
  ['gs-1', 'gs-2'].map(
    (id) => reconciled.traffic.findLast((d) => d.instance === id && d[of] !== undefined)?.[of],
  );

test('held answers and event streams do not count as load: new requests go to both instances alike', async () => {
  for (let i = 0; i < 10; i++) hold('/poll', harness.edgeHeaders({ target: 'gs-1' })).catch(() => {});
  for (const method of ['GET', 'GET', 'GET', 'POST', 'POST']) {
    const accept = method === 'GET' ? 'text/event-stream' : 'application/json, text/event-stream';
    await hold('/events', { accept, ...harness.edgeHeaders({ target: 'gs-1' }) }, method);
  }
  expect(await until(async () => gauges('longLived')[0] === 15)).toBe(true);
  const counts = new Map<string, number>();
  for (let i = 0; i < 100; i++) {
    const name = await (await fetch(`${harness.gateway}/x`)).text();
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  // With equal weights each gets half; 25 is five standard deviations below.
  expect(Math.min(counts.get('gs-1') ?? 0, counts.get('gs-2') ?? 0)).toBeGreaterThan(25);
  expect(gauges('inflight').every((count) => (count ?? 0) <= 1)).toBe(true);
});

test('long-lived connections above the limit get a 503 at once that names the cause, and no instance is blamed', async () => {
  for (let i = 0; i < 2 * LONG_LIVED; i++) await hold('/events', { accept: 'text/event-stream' });
  const answer = await fetch(`${harness.gateway}/events`, { headers: { accept: 'text/event-stream' } });
  await answer.arrayBuffer();
  expect(answer.status).toBe(503);
  expect(answer.headers.get('x-acgs-full')).toBe('1');
  expect(answer.headers.get('x-acgs-unsent')).toBe('1');
  // Ordinary requests have places of their own.
  expect((await fetch(`${harness.gateway}/x`)).status).toBe(200);
  expect(await until(async () => gauges('longLived').join() === `${LONG_LIVED},${LONG_LIVED}`)).toBe(true);
  expect(reconciled.traffic.reduce((sum, { failure }) => sum + failure, 0)).toBe(0);
});

test('long-lived connections follow the health and the admin state of the instance', async () => {
  const served = async () => {
    const answer = await hold('/events', { accept: 'text/event-stream' });
    return answer.headers['x-acgs-instance'];
  };
  for (const change of [{ admin: 'drain' }, { admin: 'ready', health: 'down', state: 'down' }] as const) {
    reconciled.change({ 'gs/gs-1': change });
    await until(async () => !(await upServers()).includes('gs:long/gs-1'));
    for (let i = 0; i < 4; i++) expect(await served()).toBe('gs-2');
  }
  reconciled.change({ 'gs/gs-1': { health: 'up', state: 'up' } });
  expect(await until(async () => (await upServers()).includes('gs:long/gs-1'))).toBe(true);
});

test('maintenance ends the long-lived connections of the instance, and only those', async () => {
  const open = new Map([
    ['gs-1', 0],
    ['gs-2', 0],
  ]);
  for (const target of open.keys()) {
    for (let i = 0; i < 15; i++) {
      const answer = await hold('/events', {
        accept: 'text/event-stream',
        ...harness.edgeHeaders({ target }),
      });
      open.set(target, (open.get(target) ?? 0) + 1);
      answer.on('error', () => {});
      answer.once('close', () => open.set(target, (open.get(target) ?? 0) - 1));
    }
  }
  reconciled.change({ 'gs/gs-1': { admin: 'maint', state: 'down' } });
  expect(await until(async () => open.get('gs-1') === 0)).toBe(true);
  expect(open.get('gs-2')).toBe(15);
  reconciled.change({ 'gs/gs-1': { admin: 'ready', state: 'up' } });
  expect(await until(async () => (await upServers()).includes('gs:long/gs-1'))).toBe(true);
});

test('a registered instance serves long-lived connections too, and can be removed', async () => {
  const origin = origins[0];
  reconciled.change({
    'gs/gs-3': { id: 'gs-3', service: 'gs', url: origin?.url ?? '', state: 'up', health: 'up' },
  });
  expect(await until(async () => (await upServers()).includes('gs:long/gs-3'))).toBe(true);
  reconciled.change({ 'gs/gs-3': null });
  expect(await until(async () => !(await harness.execute('show servers state')).includes('gs-3'))).toBe(true);
});

test('an upload may take longer than the timeout while its bytes flow', async () => {
  // Repeated: a busy machine may pause this process for longer than the timeout.
  await eventually(async () => {
    const client = request(`${harness.gateway}/up`, { method: 'PUT', agent: false });
    const answer = new Promise<IncomingMessage>((resolve, reject) => {
      client.on('response', resolve).on('error', reject);
    });
    answer.catch(() => {});
    for (let i = 0; i < 12; i++) {
      client.write(Buffer.alloc(10_000));
      await sleep(250);
    }
    client.end();
    expect((await answer).statusCode).toBe(200);
  });
  expect(origins[0]?.requests.findLast(({ url }) => url === '/up')?.body.length).toBe(120_000);
});

test('a client that comes without the edge keeps its instance by a cookie', async () => {
  const call = (path: string, headers: Record<string, string> = {}) =>
    fetch(`${harness.gateway}${path}`, { headers });
  const first = await call('/x');
  const home = first.headers.get('x-acgs-instance');
  const cookie = first.headers.get('set-cookie') ?? '';
  expect(cookie).toBe(`acgs_gs=${home}; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax`);
  // A cache may keep a response even without Cache-Control.
  expect(first.headers.get('cache-control')).toBe('private');
  const [pair = ''] = cookie.split(';');
  for (let i = 0; i < 8; i++) {
    const next = await call('/x', { cookie: pair });
    expect(next.headers.get('x-acgs-instance')).toBe(home);
    expect([next.headers.get('set-cookie'), next.headers.get('cache-control')]).toEqual([null, null]);
  }
  const stream = await hold('/events', { cookie: pair, accept: 'text/event-stream' });
  expect(stream.headers['x-acgs-instance']).toBe(home);
  // An instance that does not exist: another one, and its cookie.
  expect((await call('/x', { cookie: 'acgs_gs=gone' })).headers.get('set-cookie')).toMatch(
    /^acgs_gs=gs-[12];/,
  );
  // The edge has its own cookie, and caches share public answers.
  expect((await call('/x', harness.edgeHeaders())).headers.get('set-cookie')).toBeNull();
  expect((await call('/public')).headers.get('set-cookie')).toBeNull();
});

test('clients without cookies, and held answers that the file does not name, cause advice', async () => {
  const call = async (path: string) => (await fetch(`${harness.gateway}${path}`)).arrayBuffer();
  const advice = () => reconciled.sink.advice().map(({ service, action }) => `${service}: ${action}`);
  const expected = [
    'gs: If its instances keep sessions, set services.gs.affinity to { by: ip }.',
    'gs: If that is intended, set services.gs.longLived.paths to [/held].',
  ];
  await call('/session/other');
  // Repeated: on a busy machine a part of the answers may be too late to count.
  await eventually(async () => {
    await Promise.all(Array.from({ length: 12 }, () => call('/held')));
    // Later than the first requests of a browser.
    await sleep(1_000);
    for (let i = 0; i < 120; i++) await call('/session/other');
    await until(() => advice().length === 2, { withinMs: 2_000 });
    expect(advice()).toEqual(expected);
  });
});

async function upServers(): Promise<string[]> {
  const rows = (await harness.execute('show stat -1 4 -1')).split('\n').map((row) => row.split(','));
  return rows.flatMap(([backend, server, ...rest]) => (rest[15] === 'UP' ? [`${backend}/${server}`] : []));
}

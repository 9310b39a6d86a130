import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { reachOf } from '../../shared/retry.ts';
import { type Key, toBase64Url } from '../../shared/snapshot/seal.ts';
import type { SnapshotService } from '../../shared/snapshot/snapshot.ts';
import { startEdge, type TestEdge } from '../harness/edge.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { instance, service } from '../harness/snapshot.ts';

/** The gateway here is an HTTP server that answers as HAProxy would; what HAProxy itself does is tested beside it. */

let edge: TestEdge;
let gateway: Origin;
let a: Origin;
let b: Origin;
let publicKey: Key;

beforeAll(async () => {
  const pair = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, [
    'sign',
    'verify',
  ]);
  publicKey = pair.publicKey;
  const pkcs8 = toBase64Url(new Uint8Array(await crypto.subtle.exportKey('pkcs8', pair.privateKey)));
  [edge, gateway, a, b] = await Promise.all([
    startEdge({ vars: { GATEWAY_JWT_KEY: `g1:${pkcs8}` } }),
    startOrigin('gateway'),
    startOrigin('a'),
    startOrigin('b'),
  ]);
});
afterAll(async () => {
  await Promise.all([edge.stop(), gateway.stop(), a.stop(), b.stop()]);
});

/** Answers as HAProxy does: with the instance it used. `fail` decides per instance. */
function gatewayAnswers(fail: (instance: string) => 'ok' | 'unsent' | number | 'reset'): void {
  gateway.answer((request, response) => {
    const target = String(request.headers['x-acgs-instance']);
    const verdict = fail(target);
    if (verdict === 'reset') return void response.socket?.destroy();
    response.setHeader('x-acgs-instance', target);
    if (verdict === 'unsent') response.writeHead(503, { 'x-acgs-unsent': '1' });
    else if (typeof verdict === 'number') response.writeHead(verdict);
    response.end(JSON.stringify({ name: target }));
  });
}

let run = 0;
/** A fresh service each time: what the isolate learnt of the last one's instances does not carry over. */
async function publish(part: Partial<SnapshotService> = {}, gateways = [gateway.url]) {
  run++;
  const instances = [instance(`a${run}`, a.url), instance(`b${run}`, b.url)];
  const answer = await edge.publish({
    gateways,
    services: { [`gs${run}`]: service({ instances, ...part }) },
  });
  expect(answer.status).toBe(200);
}

beforeEach(() => {
  for (const origin of [gateway, a, b]) origin.requests.length = 0;
  for (const [name, origin] of [
    ['a', a],
    ['b', b],
  ] as const) {
    origin.answer((_, response) => response.end(JSON.stringify({ name })));
  }
});

const names = () => gateway.requests.map((one) => String(one.headers['x-acgs-instance'])[0]);

test('through the gateway: target, client and a token that verifies', async () => {
  gatewayAnswers(() => 'ok');
  await publish();
  const response = await fetch(`${edge.url}/`, { headers: { 'x-acgs-sim-client': '203.0.113.8' } });
  expect(response.headers.get('x-acgs-instance')).toMatch(/^[ab]\d/);
  const headers = gateway.requests[0]?.headers ?? {};
  expect(headers['x-acgs-client']).toBe('203.0.113.8');
  const [head = '', claims = '', signature = ''] = String(headers['x-acgs-edge']).split('.');
  const decode = (part: string): Record<string, unknown> =>
    JSON.parse(Buffer.from(part, 'base64url').toString());
  expect(decode(head)).toEqual({ alg: 'ES256', typ: 'JWT', kid: 'g1' });
  const { iss, aud, iat, exp } = decode(claims);
  expect([iss, aud, Number(exp) - Number(iat)]).toEqual(['acgs-edge', 'main', 60]);
  const verified = await crypto.subtle.verify(
    { name: 'ECDSA', hash: 'SHA-256' },
    publicKey,
    Buffer.from(signature, 'base64url'),
    new TextEncoder().encode(`${head}.${claims}`),
  );
  expect(verified).toBe(true);
  await fetch(`${edge.url}/`);
  expect(gateway.requests[1]?.headers['x-acgs-edge']).toBe(headers['x-acgs-edge']);
});

test('unsent moves any method; ambiguous only what is idempotent or has a key', async () => {
  await publish();
  gatewayAnswers((name) => (name.startsWith('a') ? 'unsent' : 'ok'));
  for (let i = 0; i < 2; i++)
    expect((await fetch(`${edge.url}/`, { method: 'POST', body: 'x' })).status).toBe(200);
  expect(names()).toContain('a');
  await publish();
  gatewayAnswers((name) => (name.startsWith('a') ? 502 : 'ok'));
  const get = [await fetch(`${edge.url}/`), await fetch(`${edge.url}/`)];
  expect(get.map((one) => one.status)).toEqual([200, 200]);
  const post = [
    await fetch(`${edge.url}/`, { method: 'POST', body: 'x' }),
    await fetch(`${edge.url}/`, { method: 'POST', body: 'x' }),
  ];
  expect(post.map((one) => one.status).sort()).toEqual([200, 502]);
  const keyed = { method: 'POST', body: 'y', headers: { 'idempotency-key': 'k' } };
  gateway.requests.length = 0;
  expect([(await fetch(`${edge.url}/`, keyed)).status, (await fetch(`${edge.url}/`, keyed)).status]).toEqual([
    200, 200,
  ]);
  expect(gateway.requests.every((one) => one.body === 'y')).toBe(true);
});

test('bodies: a chunked one is replayed while it is small; a large one is not retried', async () => {
  await publish();
  gatewayAnswers((name) => (name.startsWith('a') ? 'unsent' : 'ok'));
  const chunked = () =>
    fetch(`${edge.url}/`, {
      method: 'PUT',
      body: new ReadableStream({
        start(controller) {
          controller.enqueue(new TextEncoder().encode('one '));
          controller.enqueue(new TextEncoder().encode('two'));
          controller.close();
        },
      }),
      duplex: 'half',
    } as RequestInit);
  expect([(await chunked()).status, (await chunked()).status]).toEqual([200, 200]);
  expect(gateway.requests.length).toBeGreaterThanOrEqual(3);
  expect(new Set(gateway.requests.map((one) => one.body))).toEqual(new Set(['one two']));
  gateway.requests.length = 0;
  const large = { method: 'PUT', body: 'x'.repeat(70_000) };
  const statuses = [(await fetch(`${edge.url}/`, large)).status, (await fetch(`${edge.url}/`, large)).status];
  expect(statuses.sort()).toEqual([200, 503]);
});

test('all fail: 503 problem+json with Retry-After, after maxAttempts tries', async () => {
  await publish();
  gatewayAnswers(() => 'unsent');
  const response = await fetch(`${edge.url}/`);
  expect([response.status, response.headers.get('retry-after')]).toEqual([503, '1']);
  expect(response.headers.get('content-type')).toBe('application/problem+json');
  expect(gateway.requests).toHaveLength(3);
});

test('a try that takes too long is aborted and repeated elsewhere, within the deadline', async () => {
  await publish({ timeout: 1_000, deadline: 25_000 });
  gateway.answer((request, response) => {
    const target = String(request.headers['x-acgs-instance']);
    if (target.startsWith('a')) return;
    response.end(JSON.stringify({ name: target }));
  });
  for (let i = 0; i < 2; i++) expect((await fetch(`${edge.url}/`)).status).toBe(200);
  const before = gateway.requests.length;
  const post = await Promise.all([0, 1].map(() => fetch(`${edge.url}/`, { method: 'POST', body: 'x' })));
  expect(post.map((one) => one.status).sort()).toEqual([200, 504]);
  expect(gateway.requests.length).toBe(before + 2);
});

test('graceful gives a session a second chance where its state is; immediate moves it at once', async () => {
  for (const [strategy, expected] of [
    ['graceful', 'aab'],
    ['immediate', 'ab'],
  ] as const) {
    await publish({
      affinity: { by: 'header', header: 'x-s', ttl: 1e6 },
      failover: { ...service({ instances: [] }).failover, strategy, backoff: 1 },
    });
    gatewayAnswers(() => 'ok');
    let session = 0;
    // Find a session that lives on a.
    for (; session < 50; session++) {
      await fetch(`${edge.url}/`, { headers: { 'x-s': `s${session}` } });
      if (names().at(-1) === 'a') break;
    }
    gateway.requests.length = 0;
    gatewayAnswers((name) => (name.startsWith('a') ? 502 : 'ok'));
    expect((await fetch(`${edge.url}/`, { headers: { 'x-s': `s${session}` } })).status).toBe(200);
    expect(names().join('')).toBe(expected);
  }
});

test('five failures in a row eject an instance for this isolate', async () => {
  await publish();
  gatewayAnswers((name) => (name.startsWith('a') ? 502 : 'ok'));
  for (let i = 0; i < 10; i++) expect((await fetch(`${edge.url}/`)).status).toBe(200);
  gateway.requests.length = 0;
  for (let i = 0; i < 10; i++) await fetch(`${edge.url}/`);
  expect(new Set(names())).toEqual(new Set(['b']));
});

test('the last good cacheable answer is given, marked stale, when nothing else answers', async () => {
  await publish({ failover: { ...service({ instances: [] }).failover, staleIfError: 60_000 } });
  gateway.answer((_, response) => {
    response.setHeader('cache-control', 'public, max-age=1');
    response.setHeader('etag', '"1"');
    response.end('good');
  });
  const good = await fetch(`${edge.url}/cacheable?q=1`);
  expect(await good.text()).toBe('good');
  gatewayAnswers(() => 'unsent');
  const stale = await fetch(`${edge.url}/cacheable?q=1`);
  expect([stale.status, await stale.text()]).toEqual([200, 'good']);
  expect(stale.headers.get('x-acgs-stale')).toBe('1');
  expect(stale.headers.get('cache-control')).toBe('public, max-age=1');
  expect(stale.headers.get('age')).toMatch(/^\d+$/);
  expect((await fetch(`${edge.url}/cacheable?q=2`)).status).toBe(503);
  expect(
    (await fetch(`${edge.url}/cacheable?q=1`, { headers: { 'cache-control': 'no-cache' } })).status,
  ).toBe(503);
});

test('with the gateway gone, traffic goes directly, without the token; and back when it answers again', async () => {
  const dying = await startOrigin('dying');
  dying.answer((_, response) => response.end('gateway'));
  await publish({}, [dying.url]);
  expect(await (await fetch(`${edge.url}/`)).text()).toBe('gateway');
  await dying.stop();
  for (let i = 0; i < 8; i++) expect((await fetch(`${edge.url}/`)).status).toBe(200);
  // Known to be gone by now: even what may not be repeated goes directly, once.
  expect((await fetch(`${edge.url}/`, { method: 'POST', body: 'x' })).status).toBe(200);
  expect(a.requests.length + b.requests.length).toBe(9);
  expect([...a.requests, ...b.requests].every((one) => one.headers['x-acgs-edge'] === undefined)).toBe(true);
  const back = await startOrigin('back', dying.port);
  back.answer((_, response) => response.end('gateway'));
  await expect.poll(async () => (await fetch(`${edge.url}/`)).text(), { timeout: 40_000 }).toBe('gateway');
  await back.stop();
});

test('hedging: after the usual time another is asked, and the first answer wins', async () => {
  // Without a hedge the one that never answers would hold its request for a minute.
  await publish({
    timeout: 60_000,
    deadline: 60_000,
    failover: { ...service({ instances: [] }).failover, hedge: true },
  });
  let slow = 0;
  gateway.answer((request, response) => {
    const target = String(request.headers['x-acgs-instance']);
    response.setHeader('x-acgs-instance', target);
    if (target.startsWith('a') && !request.headers['x-usual']) {
      slow++;
      return void request.socket.once('close', () => {});
    }
    response.end(JSON.stringify({ name: target }));
  });
  const usual = async () => (await fetch(`${edge.url}/`, { headers: { 'x-usual': '1' } })).text();
  const answeredBy = async (): Promise<string | null> => {
    // What is usual is forgotten with each report: on a slow machine one may come between this and the request below.
    await Promise.all(Array.from({ length: 120 }, usual));
    try {
      const response = await fetch(`${edge.url}/`, { signal: AbortSignal.timeout(5_000) });
      return response.headers.get('x-acgs-instance');
    } catch {
      return null;
    }
  };
  for (let i = 0; i < 20 && slow === 0; i++) {
    await expect.poll(answeredBy, { timeout: 30_000 }).toMatch(/^b/);
  }
  expect(slow).toBeGreaterThan(0);
});

test('load_shed turns the lowest class away while the site is overloaded', async () => {
  await publish({
    failover: { ...service({ instances: [] }).failover, strategy: 'load_shed', class: 9, maxAttempts: 1 },
  });
  gatewayAnswers(() => 503);
  // What this isolate saw accepted in the tests before has to be outweighed first.
  let shed = false;
  for (let i = 0; i < 2_000 && !shed; i++) {
    const response = await fetch(`${edge.url}/`);
    if (response.headers.get('content-type') === 'application/problem+json') {
      shed = ((await response.json()) as { detail: string }).detail.includes('this class');
    }
  }
  expect(shed).toBe(true);
});

test('what workerd throws for a refused connection proves nothing', () => {
  expect(reachOf({ kind: 'thrown', message: 'Network connection lost.' })).toBe('ambiguous');
});

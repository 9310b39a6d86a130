import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { classifyAttempt } from '../../shared/retry.ts';
import { toBase64Url, type WebCryptoKey } from '../../shared/snapshot/signature.ts';
import type { SnapshotService } from '../../shared/snapshot/snapshot.ts';
import { startEdge, type TestEdge } from '../harness/edge.ts';
import { eventually } from '../harness/eventually.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { instance, service } from '../harness/snapshot.ts';

/** The gateway here is an HTTP server that answers like HAProxy. HAProxy itself is tested in test/integration. */

let edge: TestEdge;
let gateway: Origin;
let a: Origin;
let b: Origin;
let publicKey: WebCryptoKey;

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

/** Answers like HAProxy, with the instance's id. `fail` decides the result per instance. */
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
/** Publishes a new service each time, so that the isolate's state of earlier instances has no effect. */
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

/** Requests for the current service. The gateway also gets edge reports, and late requests of aborted attempts. */
const attempts = () =>
  gateway.requests.filter(({ headers }) => String(headers['x-acgs-instance']).slice(1) === String(run));
const names = () => attempts().map((one) => String(one.headers['x-acgs-instance'])[0]);
const get = (path = '/', headers: Record<string, string> = {}) => fetch(edge.url + path, { headers });
const post = (body = 'x', headers: Record<string, string> = {}) =>
  fetch(edge.url, { method: 'POST', body, headers });

test('through the gateway: sends the instance, the client and a valid token', async () => {
  gatewayAnswers(() => 'ok');
  await publish();
  const response = await get('/', { 'x-acgs-sim-client': '203.0.113.8' });
  expect(response.headers.get('x-acgs-instance')).toMatch(/^[ab]\d/);
  const headers = attempts()[0]?.headers ?? {};
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
  await get();
  expect(attempts()[1]?.headers['x-acgs-edge']).toBe(headers['x-acgs-edge']);
});

test('retries any method when unsent; when ambiguous only idempotent requests or those with an Idempotency-Key', async () => {
  await publish();
  gatewayAnswers((name) => (name.startsWith('a') ? 'unsent' : 'ok'));
  for (let i = 0; i < 2; i++) expect((await post()).status).toBe(200);
  expect(names()).toContain('a');
  await publish();
  gatewayAnswers((name) => (name.startsWith('a') ? 502 : 'ok'));
  expect([(await get()).status, (await get()).status]).toEqual([200, 200]);
  expect([(await post()).status, (await post()).status].sort()).toEqual([200, 502]);
  const keyed = () => post('y', { 'idempotency-key': 'k' });
  gateway.requests.length = 0;
  expect([(await keyed()).status, (await keyed()).status]).toEqual([200, 200]);
  expect(attempts().every((one) => one.body === 'y')).toBe(true);
});

test('replays a small chunked body; does not retry a large body', async () => {
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
  expect(attempts().length).toBeGreaterThanOrEqual(3);
  expect(new Set(attempts().map((one) => one.body))).toEqual(new Set(['one two']));
  const large = { method: 'PUT', body: 'x'.repeat(70_000) };
  const statuses = [(await fetch(`${edge.url}/`, large)).status, (await fetch(`${edge.url}/`, large)).status];
  expect(statuses.sort()).toEqual([200, 503]);
});

test('answers 503 problem+json with Retry-After when all maxAttempts attempts fail', async () => {
  await publish();
  gatewayAnswers(() => 'unsent');
  const response = await get();
  expect([response.status, response.headers.get('retry-after')]).toEqual([503, '1']);
  expect(response.headers.get('content-type')).toBe('application/problem+json');
  expect(attempts()).toHaveLength(3);
});

test('aborts an attempt that times out and retries elsewhere, within the deadline', async () => {
  gateway.answer((request, response) => {
    const target = String(request.headers['x-acgs-instance']);
    if (target.startsWith('a')) return;
    response.end(JSON.stringify({ name: target }));
  });
  // Repeated: on a busy machine the healthy instance may time out too.
  await eventually(async () => {
    await publish({ timeout: 1_000, deadline: 25_000 });
    expect([(await get()).status, (await get()).status]).toEqual([200, 200]);
    expect(names().join('')).toMatch(/^(ab|bab)/);
  });
  await eventually(async () => {
    await publish({ timeout: 1_000, deadline: 25_000 });
    const answers = await Promise.all([post(), post()]);
    expect(answers.map((one) => one.status).sort()).toEqual([200, 504]);
    expect(names().sort()).toEqual(['a', 'b']);
  });
});

test('graceful retries a session once on its own instance; immediate moves it at once', async () => {
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
    // Find a session that is placed on a.
    for (; session < 50; session++) {
      await get('/', { 'x-s': `s${session}` });
      if (names().at(-1) === 'a') break;
    }
    gateway.requests.length = 0;
    gatewayAnswers((name) => (name.startsWith('a') ? 502 : 'ok'));
    expect((await get('/', { 'x-s': `s${session}` })).status).toBe(200);
    expect(names().join('')).toBe(expected);
  }
});

test('ejects an instance after five consecutive failures', async () => {
  await publish();
  gatewayAnswers((name) => (name.startsWith('a') ? 502 : 'ok'));
  for (let i = 0; i < 10; i++) expect((await get()).status).toBe(200);
  gateway.requests.length = 0;
  for (let i = 0; i < 10; i++) await get();
  expect(new Set(names())).toEqual(new Set(['b']));
});

test('serves the last good cacheable response, marked as stale, when no instance answers', async () => {
  await publish({ failover: { ...service({ instances: [] }).failover, staleIfError: 600_000 } });
  const path = `/cacheable-${run}`;
  gateway.answer((_, response) => {
    response.setHeader('cache-control', 'public, max-age=1');
    response.setHeader('etag', '"1"');
    response.end('good');
  });
  const good = await get(`${path}?q=1`);
  expect(await good.text()).toBe('good');
  gatewayAnswers(() => 'unsent');
  // It is stored in the background.
  const stale = await eventually(async () => {
    const answer = await get(`${path}?q=1`);
    expect([answer.status, await answer.text()]).toEqual([200, 'good']);
    return answer;
  });
  expect(stale.headers.get('x-acgs-stale')).toBe('1');
  expect(stale.headers.get('cache-control')).toBe('public, max-age=1');
  expect(stale.headers.get('age')).toMatch(/^\d+$/);
  expect((await get(`${path}?q=2`)).status).toBe(503);
  expect((await get(`${path}?q=1`, { 'cache-control': 'no-cache' })).status).toBe(503);
});

test('sends directly and without a token while the gateway is down, and through it again when it is back', async () => {
  const dying = await startOrigin('dying');
  dying.answer((_, response) => response.end('gateway'));
  await publish({}, [dying.url]);
  expect(await (await get()).text()).toBe('gateway');
  await dying.stop();
  const direct = () => [...a.requests, ...b.requests];
  for (let i = 0; i < 8; i++) expect((await get()).status).toBe(200);
  expect(direct()).toHaveLength(8);
  // The gateway is known to be down now, so non-idempotent requests go directly too, once. The exception is the request
  // that tries the gateway again, after one second, two, four: it fails and is not repeated.
  let taken = 0;
  await eventually(async () => {
    expect((await get()).status).toBe(200);
    const { status } = await post();
    if (status === 200) taken++;
    expect(direct().filter(({ method }) => method === 'POST')).toHaveLength(taken);
    expect(status).toBe(200);
  });
  expect(direct().every((one) => one.headers['x-acgs-edge'] === undefined)).toBe(true);
  const back = await startOrigin('back', dying.port);
  back.answer((_, response) => response.end('gateway'));
  await expect.poll(async () => (await get()).text(), { timeout: 90_000 }).toBe('gateway');
  await back.stop();
});

test('skips a gateway that refuses the edge’s token, for every method; passes on an application’s own 401', async () => {
  const refusing = await startOrigin('refusing');
  refusing.answer((_, response) => response.writeHead(401, { 'x-acgs-unsent': '1' }).end());
  await publish({}, [refusing.url, gateway.url]);
  gatewayAnswers(() => 'ok');
  for (let i = 0; i < 5; i++) expect((await post()).status).toBe(200);
  expect(refusing.requests.length).toBeGreaterThan(0);
  await publish({ failover: { ...service({ instances: [] }).failover, maxAttempts: 1 } }, [refusing.url]);
  // The client cannot fix this, so it gets a 503 instead of the 401.
  await eventually(async () => expect((await get()).status).toBe(503));
  await refusing.stop();
  await publish();
  gatewayAnswers(() => 401);
  expect([(await get()).status, (await post()).status]).toEqual([401, 401]);
});

test('hedging: sends to a second instance after the usual latency, and the first response wins', async () => {
  // Without a hedge, the instance that never answers would block the request for a minute.
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
  const usual = async () => (await get('/', { 'x-usual': '1' })).text();
  const answeredBy = async (): Promise<string | null> => {
    // Each report resets the latencies. On a slow machine one may be sent before the request below.
    await Promise.all(Array.from({ length: 120 }, usual));
    try {
      const response = await fetch(`${edge.url}/`, { signal: AbortSignal.timeout(5_000) });
      return response.headers.get('x-acgs-instance');
    } catch {
      return null;
    }
  };
  for (let i = 0; i < 20 && slow === 0; i++) {
    await expect.poll(answeredBy, { timeout: 90_000 }).toMatch(/^b/);
  }
  expect(slow).toBeGreaterThan(0);
});

test('load_shed rejects the lowest class while the site is overloaded', async () => {
  await publish({
    failover: { ...service({ instances: [] }).failover, strategy: 'load_shed', class: 9, maxAttempts: 1 },
  });
  gatewayAnswers(() => 503);
  // First the accepted requests of the earlier tests have to be outweighed.
  const until = Date.now() + 90_000;
  let shed = false;
  while (!shed && Date.now() < until) shed = (await (await get()).text()).includes('this class');
  expect(shed).toBe(true);
});

test('classifies what workerd throws for a refused connection as ambiguous', () => {
  expect(classifyAttempt({ kind: 'thrown', message: 'Network connection lost.' })).toBe('ambiguous');
});

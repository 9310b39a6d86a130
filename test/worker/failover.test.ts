import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { parseEnvelope } from '../../shared/envelope.ts';
import { classifyAttempt } from '../../shared/retry.ts';
import { toBase64Url, type WebCryptoKey } from '../../shared/snapshot/signature.ts';
import type { SnapshotService } from '../../shared/snapshot/snapshot.ts';
import { startEdge, type TestEdge } from '../harness/edge.ts';
import { eventually } from '../harness/eventually.ts';
import { type Behaviour, type FakeGateway, startFakeGateway } from '../harness/fake-gateway.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { instance, service } from '../harness/snapshot.ts';

let edge: TestEdge;
let gateway: FakeGateway;
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
    startFakeGateway('gateway'),
    startOrigin('a'),
    startOrigin('b'),
  ]);
});
afterAll(async () => {
  await Promise.all([edge.stop(), gateway.stop(), a.stop(), b.stop()]);
});

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
  gatewayAnswers(() => 'ok');
}

/** `behaviour` depends on the instance's name, such as a1. */
const gatewayAnswers = (behaviour: (instance: string) => Behaviour): void =>
  gateway.serve([`a${run}`, `b${run}`], behaviour);

beforeEach(() => {
  gateway.attempts.length = 0;
  for (const origin of [gateway, a, b]) origin.requests.length = 0;
  for (const [name, origin] of [
    ['a', a],
    ['b', b],
  ] as const) {
    origin.answer((_, response) => response.end(JSON.stringify({ name })));
  }
});

/** Attempts for the current service. The gateway also gets late ones that an earlier test has aborted. */
const attempts = () => gateway.attempts.filter(({ instance }) => instance.slice(1) === String(run));
const names = () => attempts().map(({ instance }) => instance[0]);
const get = (path = '/', headers: Record<string, string> = {}) => fetch(edge.url + path, { headers });
const post = (body = 'x', headers: Record<string, string> = {}) =>
  fetch(edge.url, { method: 'POST', body, headers });

test('through the gateway: sends the client and a valid token, and leaves the pick to the gateway', async () => {
  await publish();
  const response = await get('/', { 'x-acgs-sim-client': '203.0.113.8' });
  const header = String(attempts()[0]?.headers['x-acgs-edge']);
  const envelope = parseEnvelope(header);
  expect(envelope?.fields).toMatchObject({
    client: '203.0.113.8',
    proto: 'http',
    host: new URL(edge.url).host,
    service: `gs${run}`,
    target: null,
  });
  const [head = '', claims = '', signature = ''] = envelope?.token.split('.') ?? [];
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
  const second = await get();
  expect(attempts().map(({ named }) => named)).toEqual([false, false]);
  // The answer names the instance that the gateway picked.
  expect([response, second].map((one) => one.headers.get('x-acgs-instance'))).toEqual([`a${run}`, `b${run}`]);
  const again = parseEnvelope(String(attempts()[1]?.headers['x-acgs-edge']));
  expect(again?.token).toBe(envelope?.token);
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
  gateway.attempts.length = 0;
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

test('a full service: the request waits in one queue only, the answer says why, and nothing is ejected', async () => {
  await publish({ affinity: { by: 'header', header: 'x-s', ttl: 1e6 } });
  const home = (await get('/', { 'x-s': 's' })).headers.get('x-acgs-instance');
  gatewayAnswers(() => 'full');
  for (let i = 0; i < 8; i++) {
    gateway.attempts.length = 0;
    const answer = await get('/', { 'x-s': 's' });
    expect(answer.status).toBe(503);
    expect(await answer.json()).toMatchObject({
      detail: 'Every instance of the service is at its limit of connections.',
    });
    // First the instance of the session, then one that the gateway picks among all.
    expect(attempts().map(({ named }) => named)).toEqual([true, false]);
  }
  gatewayAnswers(() => 'ok');
  expect((await get('/', { 'x-s': 's' })).headers.get('x-acgs-instance')).toBe(home);
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
  const publishWithHungInstance = async () => {
    await publish({ timeout: 1_000, deadline: 25_000 });
    gatewayAnswers((name) => (name.startsWith('a') ? 'hang' : 'ok'));
  };
  // Repeated: on a busy machine the healthy instance may time out too.
  await eventually(async () => {
    await publishWithHungInstance();
    expect([(await get()).status, (await get()).status]).toEqual([200, 200]);
    // After a timeout the edge does not know which instance the gateway had picked: its retry may name the same one.
    expect(names().join('')).toMatch(/^aa?bb$/);
    expect(attempts().map(({ cancelled }) => cancelled)).toEqual(names().map((name) => name === 'a'));
  });
  await eventually(async () => {
    await publishWithHungInstance();
    const answers = await Promise.all([post(), post()]);
    expect(answers.map((one) => one.status).sort()).toEqual([200, 504]);
    expect(names().sort()).toEqual(['a', 'b']);
  });
});

test('a retry names an instance, and not the one that has failed', async () => {
  await publish();
  gatewayAnswers((name) => (name.startsWith('a') ? 502 : 'ok'));
  for (let i = 0; i < 4; i++) expect((await get()).status).toBe(200);
  expect(attempts().map(({ instance, named }) => [instance[0], named])).toEqual([
    ['a', false],
    ['b', true],
    ['b', false],
    ['a', false],
    ['b', true],
    ['b', false],
  ]);
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
    gateway.attempts.length = 0;
    gatewayAnswers((name) => (name.startsWith('a') ? 502 : 'ok'));
    expect((await get('/', { 'x-s': `s${session}` })).status).toBe(200);
    expect(names().join('')).toBe(expected);
  }
});

test('direct: an instance is ejected after five consecutive failures, unless it is the last one', async () => {
  await publish({ path: 'direct' });
  const failing = (origin: Origin) => origin.answer((_, response) => response.writeHead(502).end());
  failing(a);
  for (let i = 0; i < 10; i++) expect((await get()).status).toBe(200);
  expect(a.requests).toHaveLength(5);
  for (let i = 0; i < 10; i++) expect((await get()).status).toBe(200);
  expect(a.requests).toHaveLength(5);

  await publish({
    path: 'direct',
    instances: [instance(`a${run}`, a.url), instance(`b${run}`, b.url, { state: 'down' })],
  });
  for (let i = 0; i < 10; i++) await get();
  a.requests.length = 0;
  b.requests.length = 0;
  a.answer((_, response) => response.end());
  for (let i = 0; i < 5; i++) expect((await get()).status).toBe(200);
  expect([a.requests.length, b.requests.length]).toEqual([5, 0]);
});

test('a status of Cloudflare from an application is final, and does not count against the gateway', async () => {
  await publish();
  for (const status of [521, 523, 529, 529, 529, 530]) {
    gatewayAnswers(() => status);
    gateway.attempts.length = 0;
    expect((await post()).status).toBe(status);
    expect(attempts()).toHaveLength(1);
  }
  gatewayAnswers(() => 'ok');
  expect((await post()).status).toBe(200);
  expect([...a.requests, ...b.requests]).toHaveLength(0);
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
  // The gateway is known to be down now, so non-idempotent requests go directly too, once. The request that tries the
  // gateway again (after 1 s, 2 s, 4 s) is the exception: it fails and is not repeated.
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

test('skips a gateway that cannot open connections, for every method', async () => {
  const exhausted = await startOrigin('exhausted');
  exhausted.answer((request, response) =>
    response
      .writeHead(503, {
        'x-acgs-instance': 'a-1',
        'x-acgs-exhausted': '1',
        ...(request.method === 'POST' && { 'x-acgs-unsent': '1' }),
      })
      .end(),
  );
  await publish({}, [exhausted.url, gateway.url]);
  gatewayAnswers(() => 'ok');
  for (let i = 0; i < 5; i++) expect((await post()).status).toBe(200);
  for (let i = 0; i < 5; i++) expect((await get()).status).toBe(200);
  // It failed three times in a row, and then is not used for a second.
  expect(exhausted.requests.length).toBeGreaterThan(0);
  expect(exhausted.requests.length).toBeLessThan(6);
  await exhausted.stop();
  await publish();
});

test('load_shed rejects requests of an overloaded service only', async () => {
  const shedding: SnapshotService['failover'] = {
    ...service({ instances: [] }).failover,
    strategy: 'load_shed',
    class: 9,
    maxAttempts: 1,
  };
  await edge.publish({
    gateways: [gateway.url],
    services: {
      gs: service({ instances: [instance('over', a.url)], failover: shedding }),
      well: service({ instances: [instance('well', b.url)], failover: shedding, routes: ['/well'] }),
    },
  });
  gateway.answer((request, response) =>
    response.writeHead(request.url?.startsWith('/well') ? 200 : 503).end(),
  );
  const isShed = async (path: string) =>
    (await (await fetch(`${edge.url}${path}`)).text()).includes('this class');
  await eventually(async () => expect(await isShed('/x')).toBe(true));
  const others = await Promise.all(Array.from({ length: 20 }, () => isShed('/well')));
  expect(others).toEqual(Array(20).fill(false));
});

test('classifies what workerd throws for a refused connection as ambiguous', () => {
  expect(classifyAttempt({ kind: 'thrown', message: 'Network connection lost.' })).toBe('ambiguous');
});

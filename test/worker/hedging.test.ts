import { connect } from 'node:net';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { EdgeReport } from '../../shared/edge-report.ts';
import { toBase64Url } from '../../shared/snapshot/signature.ts';
import type { SnapshotService } from '../../shared/snapshot/snapshot.ts';
import { EDGE_TOKEN, startEdge, type TestEdge } from '../harness/edge.ts';
import { eventually } from '../harness/eventually.ts';
import { type Behaviour, type FakeGateway, startFakeGateway } from '../harness/fake-gateway.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { instance, service } from '../harness/snapshot.ts';

/** Copies of late requests, with the delay of a service whose latency is not known yet: 50 ms. */

let edge: TestEdge;
let gateway: FakeGateway;
let origins: Record<'a' | 'b', Origin>;

beforeAll(async () => {
  const pair = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign']);
  const pkcs8 = toBase64Url(new Uint8Array(await crypto.subtle.exportKey('pkcs8', pair.privateKey)));
  const [started, fakeGateway, a, b] = await Promise.all([
    startEdge({ vars: { GATEWAY_JWT_KEY: `g1:${pkcs8}` } }),
    startFakeGateway('gateway'),
    startOrigin('a'),
    startOrigin('b'),
  ]);
  edge = started;
  gateway = fakeGateway;
  origins = { a, b };
});
afterAll(async () => {
  await Promise.all([edge.stop(), gateway.stop(), origins.a.stop(), origins.b.stop()]);
});
beforeEach(() => {
  gateway.attempts.length = 0;
});

let run = 0;
const ids = () => ['a', 'b', 'c'].map((name) => `${name}${run}`);
const hedged = { ...service({ instances: [] }).failover, hedge: true };
const byCookie = { affinity: { by: 'cookie', ttl: 3_600_000 } } as const;

/** `down`: instances that the snapshot has down. */
async function publish(part: Partial<SnapshotService> = {}, down: readonly string[] = []) {
  const instances = ids().map((id) =>
    instance(id, 'http://127.0.0.1:1', { state: down.includes(id) ? 'down' : 'up' }),
  );
  const services = { [`gs${run}`]: service({ instances, failover: hedged, ...part }) };
  const headers = { serverTiming: true };
  expect((await edge.publish({ gateways: [gateway.url], headers, services })).status).toBe(200);
}

/** Publishes a new service, so that the isolate's state of earlier instances has no effect. `a` is picked first. */
async function publishNew(
  behaviour: (name: string | undefined) => Behaviour,
  part: Partial<SnapshotService> = {},
): Promise<void> {
  run++;
  await publish(part);
  gateway.serve(ids(), (id) => behaviour(id[0]));
  gateway.attempts.length = 0;
}

/** Attempts for the current service. */
const attempts = () => gateway.attempts.filter(({ instance: id }) => id.slice(1) === String(run));
const get = (headers: Record<string, string> = {}) => fetch(edge.url, { headers });
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const cookieOf = (response: Response) => response.headers.get('set-cookie')?.split(';')[0] ?? '';
const traceOf = (response: Response): unknown => JSON.parse(response.headers.get('x-acgs-trace') ?? 'null');

test('a GET whose instance hangs is answered within a second through a copy', async () => {
  // Repeated: this machine may be too busy for a second.
  const response = await eventually(async () => {
    await publishNew((name) => (name === 'a' ? 'hang' : 'ok'));
    const startedAt = performance.now();
    const answer = await get({ 'x-acgs-explain': '1', 'x-acgs-token': EDGE_TOKEN });
    expect(performance.now() - startedAt).toBeLessThan(1_000);
    return answer;
  });
  expect(response.status).toBe(200);
  const [first, ...copies] = attempts();
  expect(first).toMatchObject({ instance: `a${run}`, named: false });
  // The edge does not know that the gateway picked `a`, so the first copy may go there as well.
  expect([1, 2]).toContain(copies.length);
  const winner = copies.at(-1);
  expect(copies.every(({ named }) => named)).toBe(true);
  expect(winner?.instance).not.toBe(first?.instance);
  expect(response.headers.get('x-acgs-instance')).toBe(winner?.instance);
  await eventually(() =>
    expect(attempts().map(({ cancelled }) => cancelled)).toEqual(attempts().map((one) => one !== winner)),
  );

  expect(response.headers.get('server-timing')).toContain(`hedge;desc="${copies.length}"`);
  expect(traceOf(response)).toMatchObject({
    hedges: copies.length,
    picked: { id: null, why: 'gateway' },
    attempts: [
      { named: null, instance: null, result: 'cancelled' },
      ...copies.map(({ instance: named }) =>
        named === winner?.instance ? { named, hedge: true, status: 200 } : { named, hedge: true },
      ),
    ],
  });
});

test('two copies at most, to two different instances; a client that disconnects counts as a failure of neither', async () => {
  await publishNew(() => 'hang');
  const { hostname, port } = new URL(edge.url);
  for (let round = 0; round < 2; round++) {
    gateway.attempts.length = 0;
    const client = connect(Number(port), hostname, () => client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'));
    client.on('error', () => {});
    await eventually(() => expect(attempts()).toHaveLength(3));
    await wait(400);
    const [first, ...copies] = attempts();
    expect(first?.named).toBe(false);
    expect(copies.map(({ named }) => named)).toEqual([true, true]);
    expect(copies[0]?.instance).not.toBe(copies[1]?.instance);
    expect(attempts()).toHaveLength(3);
    // A reset. After a FIN alone the client may still wait for the response.
    client.resetAndDestroy();
    await eventually(() => expect(attempts().every(({ cancelled }) => cancelled)).toBe(true));
  }
  // Three failures would take the gateway out.
  const status = await fetch(`${edge.url}/__acgs/status`, {
    headers: { authorization: `Bearer ${EDGE_TOKEN}` },
  });
  expect(await status.json()).toMatchObject({ gateways: [] });
});

test('requests that are not safe are never copied, nor are WebSockets', async () => {
  await publishNew(() => ({ afterMs: 500 }));
  for (const [method, headers] of [
    ['POST', {}],
    ['POST', { 'idempotency-key': 'k' }],
    ['PUT', {}],
    ['DELETE', {}],
  ] as const) {
    gateway.attempts.length = 0;
    const response = await fetch(edge.url, { method, headers, ...(method !== 'DELETE' && { body: 'x' }) });
    expect([response.status, attempts().length], method).toEqual([200, 1]);
  }
  gateway.attempts.length = 0;
  const socket = new WebSocket(edge.url.replace('http', 'ws'));
  const refused = new Promise((resolve) => {
    socket.onerror = resolve;
  });
  await refused;
  expect(attempts()).toHaveLength(1);
});

test('a held answer is not copied, and has its own time limit', async () => {
  // The longest time that an answer of the service may take.
  const limits = { timeout: 400, deadline: 800, longLived: { idle: 20_000, paths: ['/poll'] } };
  await publishNew(() => ({ afterMs: 1_500 }), limits);
  for (const [path, headers] of [
    ['/poll?since=1', {}],
    ['/events', { accept: 'text/event-stream' }],
  ] as const) {
    gateway.attempts.length = 0;
    const answer = await fetch(edge.url + path, { headers });
    expect([answer.status, attempts().length], path).toEqual([200, 1]);
  }
  gateway.attempts.length = 0;
  const other = await fetch(`${edge.url}/pollster`);
  expect(other.status).toBe(503);
  expect(attempts().length).toBeGreaterThan(1);
});

test('with a single instance there is no copy', async () => {
  run++;
  const only = `a${run}`;
  const services = { [`gs${run}`]: service({ instances: [instance(only, gateway.url)], failover: hedged }) };
  const headers = { serverTiming: true };
  expect((await edge.publish({ gateways: [gateway.url], headers, services })).status).toBe(200);
  gateway.serve([only], () => ({ afterMs: 500 }));
  expect((await get()).status).toBe(200);
  expect(attempts()).toHaveLength(1);
});

test('a new session is pinned to the instance that the gateway picked', async () => {
  await publishNew(() => 'ok', byCookie);
  for (let session = 0; session < 6; session++) {
    const first = await get();
    const served = first.headers.get('x-acgs-instance');
    for (let i = 0; i < 3; i++) {
      const again = await get({ cookie: cookieOf(first) });
      expect(again.headers.get('x-acgs-instance')).toBe(served);
      expect(attempts().at(-1)).toMatchObject({ instance: served, named: true });
    }
  }
  const picked = attempts().flatMap((one) => (one.named ? [] : one.instance));
  expect(picked).toEqual([...ids(), ...ids()]);
});

test('a session is copied only after a newer snapshot marks its instance as down; then it moves', async () => {
  await publishNew(() => 'ok', byCookie);
  const pinned = await get();
  const own = pinned.headers.get('x-acgs-instance') ?? '';
  gateway.serve(ids(), (id) => (id === own ? 'hang' : 'ok'));
  gateway.attempts.length = 0;
  const asking = get({ cookie: cookieOf(pinned) });
  await wait(1_000);
  expect(attempts().map(({ instance: id }) => id)).toEqual([own]);
  await publish(byCookie, [own]);
  const moved = await asking;
  expect(moved.status).toBe(200);
  expect(attempts().map(({ named }) => named)).toEqual([true, true]);
  const other = moved.headers.get('x-acgs-instance');
  expect(other).not.toBe(own);
  const again = await get({ cookie: cookieOf(moved) });
  expect(again.headers.get('x-acgs-instance')).toBe(other);
});

test('direct: an instance that loses to its copies is avoided', async () => {
  const { a, b } = origins;
  let hung = 0;
  a.answer(() => {
    hung++;
  });
  // Repeated: on a busy machine the good instance may look slow as well.
  await eventually(async () => {
    run++;
    hung = 0;
    const direct = service({
      instances: [instance(`a${run}`, a.url), instance(`b${run}`, b.url)],
      path: 'direct',
      strategy: 'least_response_time',
      timeout: 1_000,
      failover: hedged,
    });
    expect((await edge.publish({ services: { [`gs${run}`]: direct } })).status).toBe(200);
    for (let i = 0; i < 40; i++) expect(await (await get()).json()).toEqual({ name: 'b' });
    expect(hung).toBeGreaterThanOrEqual(1);
    // If only failures counted, `a` would get half of the requests: five until the copies are used up, and five that
    // time out until it is ejected.
    expect(hung).toBeLessThanOrEqual(5);
  });
});

test('the edge report counts the copies', async () => {
  const hedges = () =>
    gateway.requests
      .filter(({ url }) => url === '/__acgs/edge-reports')
      .map(({ body }) => JSON.parse(body) as EdgeReport)
      .flatMap(({ requests }) => requests.filter(({ service: id }) => id === `gs${run}`))
      .reduce((sum, one) => sum + one.hedges, 0);
  await publishNew((name) => (name === 'a' ? 'hang' : 'ok'));
  expect((await get()).status).toBe(200);
  const copies = attempts().length - 1;
  expect(copies).toBeGreaterThanOrEqual(1);
  gateway.serve(ids());
  await expect
    .poll(() => get().then(hedges), { timeout: 60_000, interval: 250 })
    .toBeGreaterThanOrEqual(copies);
});

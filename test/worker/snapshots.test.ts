import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import type { Snapshot } from '../../shared/snapshot/snapshot.ts';
import { EDGE_TOKEN, startEdge, type TestEdge, type TestEdgeOptions } from '../harness/edge.ts';
import { eventually } from '../harness/eventually.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { rawExchange } from '../harness/raw-tcp.ts';
import { instance, service } from '../harness/snapshot.ts';

const running: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of running.splice(0).reverse()) await one.stop();
});

async function start(options: TestEdgeOptions = {}): Promise<{ edge: TestEdge; a: Origin; b: Origin }> {
  const [edge, a, b] = await Promise.all([startEdge(options), startOrigin('a'), startOrigin('b')]);
  running.push(edge, a, b);
  return { edge, a, b };
}

const to = (origin: Origin) => ({
  services: { gs: service({ path: 'direct' as const, instances: [instance('one', origin.url)] }) },
});

const nameAt = async (edge: TestEdge): Promise<string> =>
  ((await (await fetch(`${edge.url}/`)).json()) as { name: string }).name;

const status = async (edge: TestEdge) =>
  (await (
    await fetch(`${edge.url}/__acgs/status`, { headers: { authorization: `Bearer ${EDGE_TOKEN}` } })
  ).json()) as { snapshots: { epoch: number; seq: number; source: string; lastError: string | null }[] };

test('a leader with an older epoch is refused, one with a newer epoch is accepted', async () => {
  const { edge, a, b } = await start();
  expect((await edge.publish({ epoch: 3, seq: 9, ...to(a) })).status).toBe(200);
  const stale = await edge.publish({ epoch: 2, seq: 99, ...to(b) });
  expect([stale.status, await stale.json()]).toMatchObject([409, { epoch: 3, seq: 9 }]);
  expect((await edge.publish({ epoch: 4, seq: 0, ...to(b) })).status).toBe(200);
  expect(await nameAt(edge)).toBe('b');
});

test('refuses a snapshot that is too large, of another site, or unsigned', async () => {
  const { edge } = await start();
  const put = (site: string, body: string | Uint8Array<ArrayBuffer>) =>
    fetch(`${edge.url}/__acgs/snapshot/${site}`, { method: 'PUT', body });
  // Refused by its content-length, before the body is sent.
  const tooLarge = 'PUT /__acgs/snapshot/main HTTP/1.1\r\nHost: x\r\nContent-Length: 2000001\r\n\r\n';
  expect(await rawExchange(edge.url, tooLarge, /\r\n\r\n/)).toMatch(/^HTTP\/1\.1 413/);
  expect((await put('elsewhere', 'x')).status).toBe(404);
  expect((await put('main', 'no newline')).status).toBe(401);
  const signed = await edge.sign({
    v: 1,
    site: 'main',
    epoch: 1,
    seq: 1,
    issuedAt: 0,
    gateways: [],
    services: {},
  });
  signed[signed.length - 1] = 0x20;
  expect((await put('main', signed)).status).toBe(401);
});

test('the Hub delivers a change at once while KV lags by an hour', async () => {
  const { edge, a, b } = await start({ kvLagMs: 3_600_000 });
  await edge.publish(to(a));
  expect(await nameAt(edge)).toBe('a');
  await edge.publish(to(b));
  await expect.poll(() => nameAt(edge), { timeout: 60_000, interval: 50 }).toBe('b');
});

test('works with the Hub alone while KV is down', async () => {
  const { edge, a } = await start({ kvDown: true });
  expect((await edge.publish(to(a))).status).toBe(200);
  expect(await nameAt(edge)).toBe('a');
});

test('SNAPSHOT_LANES=kv ignores the Hub, on the local stack only', async () => {
  const { edge, a, b } = await start({ vars: { SNAPSHOT_LANES: 'kv' } });
  await edge.publish(to(a));
  await expect.poll(() => nameAt(edge), { timeout: 60_000 }).toBe('a');
  expect((await status(edge)).snapshots[0]).toMatchObject({ source: 'kv', lastError: expect.any(String) });
  await edge.publish(to(b));
  await expect.poll(() => nameAt(edge), { timeout: 60_000, interval: 300 }).toBe('b');
  expect((await status(edge)).snapshots[0]?.source).toBe('kv');

  const kvOnly = await startEdge({ vars: { SNAPSHOT_LANES: 'kv' }, kvDown: true });
  running.push(kvOnly);
  expect((await kvOnly.publish(to(a))).status).toBe(200);
  expect((await fetch(`${kvOnly.url}/`)).status).toBe(503);

  const deployed = await startEdge({
    vars: { SNAPSHOT_LANES: 'kv', CLIENT_ADDRESS_FROM: 'cloudflare' },
    kvDown: true,
  });
  running.push(deployed);
  await deployed.publish(to(a));
  expect((await status(deployed)).snapshots[0]).toMatchObject({ source: 'put', seq: 1 });
});

test('without a snapshot every request goes to the fallback, without naming an instance', async () => {
  const { a } = await start();
  const fallback = await startOrigin('fallback');
  running.push(fallback);
  const edge = await startEdge({ vars: { FALLBACK_ORIGIN: fallback.url } });
  running.push(edge);
  const response = await fetch(`${edge.url}/any?q=1`, { method: 'POST', body: 'hello' });
  expect(await response.json()).toEqual({ name: 'fallback' });
  expect(fallback.requests[0]).toMatchObject({ method: 'POST', url: '/any?q=1', body: 'hello' });
  expect(fallback.requests[0]?.headers['x-acgs-instance']).toBeUndefined();
  // The gateway sees the address of this edge, so it must not open what is open to that address.
  expect(fallback.requests[0]?.headers['x-acgs-fallback']).toBe('1');
  await edge.publish(to(a));
  expect(await nameAt(edge)).toBe('a');
});

test('without a snapshot FALLBACK_LIMIT applies to each client but loopback', async () => {
  const fallback = await startOrigin('fallback');
  running.push(fallback);
  const statuses = async (vars: Record<string, string>, client: Record<string, string>) => {
    const edge = await startEdge({ vars: { FALLBACK_ORIGIN: fallback.url, ...vars } });
    running.push(edge);
    const seen: number[] = [];
    for (let i = 0; i < 22; i++) seen.push((await fetch(`${edge.url}/`, { headers: client })).status);
    return { seen, last: await fetch(`${edge.url}/`, { headers: client }) };
  };
  const outside = { 'x-acgs-sim-client': '203.0.113.4' };
  const limited = await statuses({ FALLBACK_LIMIT: '20/600s' }, outside);
  expect(limited.seen).toEqual([...Array(20).fill(200), 429, 429]);
  expect(limited.last.headers.get('ratelimit')).toMatch(/^"fallback";r=0;t=\d+$/);
  expect(limited.last.headers.get('retry-after')).toMatch(/^\d+$/);
  expect((await statuses({ FALLBACK_LIMIT: '20/600s' }, {})).seen).toEqual(Array(22).fill(200));
  expect((await statuses({ FALLBACK_LIMIT: 'off' }, outside)).seen).toEqual(Array(22).fill(200));
});

test('the Hub and KV keep the snapshot over a restart', async () => {
  const persist = mkdtempSync(join(tmpdir(), 'acgs-persist-'));
  running.push({ stop: async () => rmSync(persist, { recursive: true, force: true, maxRetries: 5 }) });
  const key = { sites: ['main'] };
  const a = await startOrigin('a');
  running.push(a);
  const first = await startEdge({ ...key, persist });
  await first.publish(to(a));
  const sealedOrder = await (await fetch(`${first.url}/__acgs/snapshot/main`)).json();
  await first.stop();
  const second = await startEdge({ ...key, persist });
  running.push(second);
  expect(await (await fetch(`${second.url}/__acgs/snapshot/main`)).json()).toEqual(sealedOrder);
  // The second edge has other keys, so it rejects the stored snapshot and reports why.
  expect((await fetch(`${second.url}/`)).status).toBe(503);
  await eventually(async () =>
    expect((await status(second)).snapshots[0]?.lastError).toMatch(/the signature is invalid/),
  );
});

test('several sites: a site without serving instances gets no requests', async () => {
  const { edge, a, b } = await start({ sites: ['east', 'west'] });
  const site = (name: string, origin: Origin, state: 'up' | 'down'): Partial<Snapshot> => ({
    site: name,
    services: {
      gs: service({
        path: 'direct',
        failover: { ...service({ instances: [] }).failover, strategy: 'circuit_break' },
        instances: [instance(`${name}-1`, origin.url, { state })],
      }),
    },
  });
  await edge.publish(site('east', a, 'up'));
  await edge.publish(site('west', b, 'up'));
  const seen = new Set<string>();
  for (let i = 0; i < 30; i++) seen.add(await nameAt(edge));
  expect(seen).toEqual(new Set(['a', 'b']));
  await edge.publish(site('east', a, 'down'));
  for (let i = 0; i < 10; i++) expect(await nameAt(edge)).toBe('b');
});

test('a misconfigured edge names the variable but never its value', async () => {
  const edge = await startEdge({ vars: { COOKIE_KEYS: 'k1:c2VjcmV0', CLIENT_ADDRESS_FROM: 'local' } });
  running.push(edge);
  const response = await fetch(`${edge.url}/`);
  expect(response.status).toBe(500);
  const text = await response.text();
  expect(text).toContain('COOKIE_KEYS');
  expect(text).not.toContain('c2VjcmV0');
});

test('refuses a signed snapshot that no view can be built from, and still accepts later ones', async () => {
  const { edge, a, b } = await start({ sites: ['main', 'other'] });
  expect((await edge.publish(to(a))).status).toBe(200);
  const broken = await edge.publish({ services: { gs: {} } } as unknown as Partial<Snapshot>);
  expect([broken.status, broken.headers.get('content-type')]).toEqual([422, 'application/problem+json']);
  expect(await nameAt(edge)).toBe('a');
  expect(await (await fetch(`${edge.url}/__acgs/snapshot/main`)).json()).toMatchObject({ seq: 1 });
  const policy = { path: 'direct' as const, routes: ['/b'], instances: [instance('b', b.url)] };
  const other = { site: 'other', services: { other: service(policy) } };
  expect((await edge.publish(other)).status).toBe(200);
  expect(await (await fetch(`${edge.url}/b`)).json()).toEqual({ name: 'b' });
});

import { afterAll, beforeAll, expect, test } from 'vitest';
import { EDGE_TOKEN, startEdge, type TestEdge } from '../harness/edge.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { rawExchange } from '../harness/raw-tcp.ts';
import { instance, service } from '../harness/snapshot.ts';

let edge: TestEdge;
let a: Origin;
let b: Origin;

beforeAll(async () => {
  [edge, a, b] = await Promise.all([startEdge(), startOrigin('a'), startOrigin('b')]);
});
afterAll(async () => {
  await Promise.all([edge.stop(), a.stop(), b.stop()]);
});

/** The last accepted snapshot's seq. */
let seq = 0;

const two = () => [instance('a', a.url), instance('b', b.url)];

test('without a snapshot or a fallback: 503, and the health endpoint answers', async () => {
  expect((await fetch(`${edge.url}/x`)).status).toBe(503);
  expect(await (await fetch(`${edge.url}/__acgs/health`)).json()).toMatchObject({ snapshot: false });
});

test('an edge without keys and fallback says what is missing, to browsers as a page', async () => {
  const bare = await startEdge({ vars: { SNAPSHOT_PUBLIC_KEYS: '', FALLBACK_ORIGIN: '' } });
  try {
    const problem = await fetch(bare.url);
    expect([problem.status, await problem.json()]).toMatchObject([
      503,
      {
        detail: expect.stringMatching(/SNAPSHOT_PUBLIC_KEYS and FALLBACK_ORIGIN are empty.*npm run dev:edge/),
      },
    ]);
    const page = await fetch(bare.url, { headers: { accept: 'text/html,*/*' } });
    expect([page.status, page.headers.get('content-type')]).toEqual([503, 'text/html; charset=utf-8']);
    expect(await page.text()).toContain('<code>npm run dev:edge</code>');
  } finally {
    await bare.stop();
  }
});

test('accepts a signed snapshot; refuses an older and a forged one', async () => {
  seq += 5;
  const published = await edge.publish({
    seq,
    services: { gs: service({ path: 'direct', instances: two() }) },
  });
  expect(published.status).toBe(200);
  const replay = await edge.publish({ seq });
  expect(replay.status).toBe(409);
  expect(await replay.json()).toMatchObject({ site: 'main', epoch: 1, seq });
  const forged = await fetch(`${edge.url}/__acgs/snapshot/main`, { method: 'PUT', body: 'k-main.AAAA\n{}' });
  expect(forged.status).toBe(401);
  const known = await fetch(`${edge.url}/__acgs/snapshot/main`);
  expect(await known.json()).toEqual({ site: 'main', epoch: 1, seq });
});

test('spreads requests over the instances, with the headers a proxy adds', async () => {
  const names = new Set<string>();
  for (let i = 0; i < 4; i++) {
    const response = await fetch(`${edge.url}/path?q=%20a+b&c`, { headers: { 'x-acgs-edge': 'forged' } });
    names.add(((await response.json()) as { name: string }).name);
    expect(response.headers.get('x-request-id')).toBeTruthy();
    expect(response.headers.get('x-acgs-instance')).toMatch(/^[ab]$/);
  }
  expect(names).toEqual(new Set(['a', 'b']));
  const seen = a.requests.at(-1);
  expect(seen?.url).toBe('/path?q=%20a+b&c');
  expect(seen?.headers['x-forwarded-for']).toBe('127.0.0.1');
  expect(seen?.headers['x-acgs-edge']).toBeUndefined();
});

test('no request fails when one instance fails', async () => {
  a.answer((_, response) => response.socket?.destroy());
  for (let i = 0; i < 6; i++) {
    const response = await fetch(`${edge.url}/`);
    expect(await response.json()).toEqual({ name: 'b' });
  }
});

test('admin endpoints: HEAD works like GET, 405 lists the methods, the Bearer scheme has any case', async () => {
  const ask = (path: string, method: string, headers = {}) =>
    fetch(`${edge.url}/__acgs/${path}`, { method, headers });
  const head = await ask('health', 'HEAD');
  expect([head.status, await head.text()]).toEqual([200, '']);
  const withLength = 'HEAD /__acgs/health HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n';
  expect(await rawExchange(edge.url, withLength, /\r\n\r\n/)).toMatch(/^HTTP\/1\.1 200/);
  for (const [path, allowed] of [
    ['health', 'GET, HEAD'],
    ['status', 'GET, HEAD'],
    ['snapshot/main', 'GET, HEAD, PUT'],
  ] as const) {
    const refused = await ask(path, 'DELETE');
    expect([refused.status, refused.headers.get('allow')]).toEqual([405, allowed]);
  }
  expect((await ask('nothing', 'GET')).status).toBe(404);
  expect((await ask('status', 'GET', { authorization: `bearer ${EDGE_TOKEN}` })).status).toBe(200);
});

test('status requires the bearer token', async () => {
  expect((await fetch(`${edge.url}/__acgs/status`)).status).toBe(401);
  const status = await fetch(`${edge.url}/__acgs/status`, {
    headers: { authorization: `Bearer ${EDGE_TOKEN}` },
  });
  expect(await status.json()).toMatchObject({ snapshots: [{ site: 'main', epoch: 1, seq }] });
});

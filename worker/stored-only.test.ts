import { beforeAll, expect, test } from 'vitest';
import { instance, service } from '../test/harness/snapshot.ts';
import { createEdge, type Edge } from './edge.ts';
import { handle } from './handle.ts';

/** The edge's code in Node, without a network. */

let received = 0;
let cacheControl = '';
let edge: Edge;

beforeAll(async () => {
  const cookieKey = Buffer.alloc(32, 1).toString('base64url');
  edge = await createEdge({
    SITES: 'main',
    CLIENT_ADDRESS_FROM: 'local',
    COOKIE_KEYS: `c1:${cookieKey}`,
  } as never);
  Object.assign(edge.upstreams, {
    fetch: async () => {
      received += 1;
      return new Response('ok', { headers: { 'cache-control': cacheControl } });
    },
  });
});

let seq = 0;
function publish(staleIfError: number): void {
  const base = service({
    path: 'direct',
    affinity: { by: 'cookie', ttl: 3_600_000 },
    instances: [instance('a', 'http://192.0.2.1')],
  });
  const gs = { ...base, failover: { ...base.failover, staleIfError } };
  const snapshot = { v: 1 as const, site: 'main', epoch: 1, seq: ++seq, issuedAt: 0, gateways: [] };
  const prepared = edge.snapshots.prepare([{ ...snapshot, services: { gs } }]);
  if (!prepared.ok) throw new Error(prepared.why);
  edge.snapshots.accept(prepared, 'put');
}

async function send(method: string, control: string): Promise<Response> {
  const request = new Request('http://x/', { method, headers: { 'cache-control': control } });
  const ctx = { waitUntil: (work: Promise<unknown>) => void work.catch(() => {}) };
  return handle(request as never, edge, ctx as never);
}

test('only-if-cached gets 504 from an edge that stores responses, and reaches no instance', async () => {
  publish(300_000);
  for (const method of ['GET', 'HEAD'])
    expect((await send(method, 'max-stale, only-if-cached')).status).toBe(504);
  expect(received).toBe(0);
  // A cache must not answer a DELETE.
  expect((await send('DELETE', 'only-if-cached')).status).toBe(200);
  // An edge that stores nothing is not a cache: a cache behind it may answer.
  publish(0);
  expect((await send('GET', 'only-if-cached')).status).toBe(200);
});

test('a response that a shared cache may keep carries no affinity cookie', async () => {
  publish(0);
  const hasCookie = async (control: string): Promise<boolean> => {
    cacheControl = control;
    return (await send('GET', 'max-age=0')).headers.has('set-cookie');
  };
  for (const control of ['public', 'max-age=60', 's-maxage=60']) expect(await hasCookie(control)).toBe(false);
  for (const control of ['private, max-age=60', 'no-store']) expect(await hasCookie(control)).toBe(true);
});

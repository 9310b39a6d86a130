import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startEdge, type TestEdge } from '../harness/edge.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { instance, service } from '../harness/snapshot.ts';

/** Every header in which a client might claim another address. */
const CLAIMS = {
  'cf-connecting-ip': '203.0.113.1',
  'x-forwarded-for': '203.0.113.2',
  'x-real-ip': '203.0.113.3',
  'true-client-ip': '203.0.113.4',
  forwarded: 'for=203.0.113.5',
  'x-acgs-client': '203.0.113.6',
};

let origin: Origin;
let cloudflare: TestEdge;
let local: TestEdge;

beforeAll(async () => {
  [origin, cloudflare, local] = await Promise.all([
    startOrigin('a'),
    startEdge({ vars: { CLIENT_ADDRESS_FROM: 'cloudflare', SIMULATE_CLIENTS: '1' } }),
    startEdge({ vars: { CLIENT_ADDRESS_FROM: 'local', SIMULATE_CLIENTS: '0' } }),
  ]);
  // A host name: a deployed Worker cannot fetch a raw IP address.
  const publicUrl = `http://localhost:${origin.port}`;
  const services = {
    gs: service({ path: 'direct', instances: [instance('a', origin.url, { publicUrl })] }),
  };
  for (const edge of [cloudflare, local]) expect((await edge.publish({ services })).status).toBe(200);
});
afterAll(async () => {
  await Promise.all([origin.stop(), cloudflare.stop(), local.stop()]);
});
beforeEach(() => {
  origin.requests.length = 0;
});

const ask = async (edge: TestEdge, headers: Record<string, string>) => {
  const { status } = await fetch(`${edge.url}/`, { headers });
  // A proxy appends its client's address. The entries before it are unverified.
  const chain = String(origin.requests.at(-1)?.headers['x-forwarded-for'] ?? '');
  return { status, seen: chain.split(', ').at(-1) };
};

test('cloudflare: the address is cf-connecting-ip, whatever other headers claim', async () => {
  const headers = { ...CLAIMS, 'x-acgs-sim-client': '203.0.113.7' };
  expect(await ask(cloudflare, headers)).toEqual({ status: 200, seen: '203.0.113.1' });
});

test('cloudflare: a request without cf-connecting-ip is rejected', async () => {
  const { 'cf-connecting-ip': _, ...others } = CLAIMS;
  const { status } = await ask(cloudflare, { ...others, 'x-acgs-sim-client': '203.0.113.7' });
  expect(status).toBeGreaterThanOrEqual(400);
  expect(origin.requests).toHaveLength(0);
});

test('local: cf-connecting-ip is ignored, and so is x-acgs-sim-client without SIMULATE_CLIENTS', async () => {
  const headers = { ...CLAIMS, 'x-acgs-sim-client': '203.0.113.7' };
  expect(await ask(local, headers)).toEqual({ status: 200, seen: '127.0.0.1' });
});

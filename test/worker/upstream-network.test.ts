import { afterAll, afterEach, expect, test } from 'vitest';
import { EDGE_TOKEN, startEdge, type TestEdge, type TestEdgeOptions } from '../harness/edge.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { service } from '../harness/snapshot.ts';

/**
 * Caches as Cloudflare does: static files by their URL, unless the request says otherwise. A visitor of the gateway has
 * left one response.
 */
const CLOUDFLARE_CACHE = (gatewayUrl: string) => `
const cached = new Map([['${gatewayUrl}/visited.js', 'of a visitor']]);
export default { async fetch(request) {
  const { cacheTtl = 0, cacheLevel } = request.cf ?? {};
  const isStatic = request.method === 'GET' && new URL(request.url).pathname.endsWith('.js');
  const hit = cacheLevel !== 'bypass' && cached.get(request.url);
  if (hit) return new Response(hit, { headers: { 'cf-cache-status': 'HIT' } });
  const response = await fetch(request);
  if (!isStatic || cacheTtl < 0) return response;
  const text = await response.text();
  cached.set(request.url, text);
  return new Response(text, response);
} };`;

/** Stands for Workers VPC: it marks what comes through, and only it can resolve the name of the gateway. */
const PRIVATE_NETWORK = (url: string) => `
export default { fetch(request) {
  const { pathname } = new URL(request.url);
  const forwarded = new Request('${url}' + pathname, request);
  forwarded.headers.set('through', 'vpc');
  return fetch(forwarded);
} };`;

const gateway = startOrigin('gateway');
let edge: TestEdge | undefined;
afterEach(() => edge?.stop());
afterAll(async () => (await gateway).stop());

async function start(
  options: TestEdgeOptions,
  gatewayUrl?: string,
): Promise<{ edge: TestEdge; origin: Origin }> {
  const origin = await gateway;
  edge = await startEdge(options);
  const url = gatewayUrl ?? origin.url;
  const instances = [{ id: 'gs-1', url: 'http://10.0.0.1:8000', state: 'up' as const, reason: '', since: 1 }];
  await edge.publish({ gateways: [url], services: { gs: service({ instances }) } });
  return { edge, origin };
}

test('no response comes from Cloudflare’s cache or gets into it, and the application sees the client’s own fields', async () => {
  const { edge, origin } = await start({
    otherWorkers: { 'cloudflare-cache': CLOUDFLARE_CACHE((await gateway).url) },
    outbound: 'cloudflare-cache',
    vars: { CLIENT_ADDRESS_FROM: 'cloudflare' },
  });
  let served = 0;
  origin.answer((_, response) => {
    response.setHeader('cache-control', 'public, max-age=600');
    response.end(String(++served));
  });
  const headers = { 'cf-connecting-ip': '203.0.113.1' };
  const get = async (path: string) => (await fetch(edge.url + path, { headers })).text();
  expect([await get('/app.js'), await get('/app.js'), await get('/visited.js')]).toEqual(['1', '2', '3']);
  expect(origin.requests.at(-1)?.headers).not.toHaveProperty('cache-control');
  expect(origin.requests.at(-1)?.headers).not.toHaveProperty('pragma');
});

test('a site with a Workers VPC binding is reached through it, by a name that only the private network knows', async () => {
  const origin = await gateway;
  origin.answer((_, response) => response.end('private'));
  const { edge } = await start(
    {
      sites: ['eu-1'],
      otherWorkers: { 'private-network': PRIVATE_NETWORK(origin.url) },
      services: { VPC_EU_1: 'private-network' },
    },
    'http://gateway.internal',
  );
  const response = await fetch(`${edge.url}/x`);
  expect([response.status, await response.text()]).toEqual([200, 'private']);
  expect(origin.requests.at(-1)?.headers.through).toBe('vpc');
  const status = await fetch(`${edge.url}/__acgs/status`, {
    headers: { authorization: `Bearer ${EDGE_TOKEN}` },
  });
  expect(await status.json()).toMatchObject({ privateSites: ['eu-1'], hasCache: true });
});

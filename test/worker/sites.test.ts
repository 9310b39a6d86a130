import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Snapshot, SnapshotService } from '../../shared/snapshot/snapshot.ts';
import { EDGE_TOKEN, startEdge, type TestEdge } from '../harness/edge.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { instance, service } from '../harness/snapshot.ts';

/** Two sites. Each is reachable only through its gateway, an HTTP server that answers like HAProxy. */

const FRANKFURT = { colo: 'FRA', country: 'DE' } as const;
const MUNICH = { colo: 'MUC', country: 'DE' } as const;
const SAN_JOSE = { colo: 'SJC', country: 'US' } as const;
const TOKYO = { colo: 'NRT', country: 'JP' } as const;

let edge: TestEdge;
let east: Origin;
let west: Origin;
const logged: string[] = [];

beforeAll(async () => {
  edge = await startEdge({
    sites: ['east', 'west'],
    vars: { CLIENT_ADDRESS_FROM: 'cloudflare' },
    onLog: ({ message }) => logged.push(message),
  });
});
afterAll(() => edge.stop());
/** New gateways for each test, so that the isolate's state of earlier ones has no effect. */
beforeEach(async () => {
  [east, west] = await Promise.all([startGateway('east'), startGateway('west')]);
});
afterEach(async () => {
  await Promise.all([east.stop(), west.stop()]);
});

type Site = 'east' | 'west';
/** The instance behind each gateway. */
const published: Record<Site, string> = { east: '', west: '' };

/** A gateway with one instance, which it names in its answers. */
async function startGateway(site: Site, port?: number): Promise<Origin> {
  const gateway = await startOrigin(site, port);
  gateway.answer((_, response) => {
    response.setHeader('x-acgs-instance', published[site]);
    response.end(JSON.stringify({ name: site }));
  });
  return gateway;
}

async function publish(site: Site, part: Partial<Snapshot> = {}, policy: Partial<SnapshotService> = {}) {
  const gateway = site === 'east' ? east : west;
  const gs = service({ instances: [instance(`${site}-1`, 'http://192.0.2.1')], ...policy });
  published[site] = gs.instances[0]?.id ?? '';
  const answer = await edge.publish({
    site,
    gateways: [gateway.url],
    services: { gs },
    ...part,
  });
  expect(answer.status).toBe(200);
}

type Place = Parameters<TestEdge['fromPlace']>[0];

async function countAnswers(place: Place, times: number, method = 'GET'): Promise<Record<string, number>> {
  const seen: Record<string, number> = {};
  for (let i = 0; i < times; i++) {
    const { status, body } = await edge.fromPlace(place, { method });
    const who = status === 200 ? (JSON.parse(body) as { name: string }).name : String(status);
    seen[who] = (seen[who] ?? 0) + 1;
  }
  return seen;
}

test('the near site serves, by colo or country; when none is near, weight decides', async () => {
  await publish('east', { near: ['FRA', 'DE'], weight: 300 });
  await publish('west', { near: ['SJC', 'US'] });
  expect(await countAnswers(FRANKFURT, 10)).toEqual({ east: 10 });
  expect(await countAnswers(MUNICH, 10)).toEqual({ east: 10 });
  expect(await countAnswers(SAN_JOSE, 10)).toEqual({ west: 10 });
  const { east: share = 0 } = await countAnswers(TOKYO, 120);
  // 3 of 4, within five standard deviations.
  expect(share / 120).toBeGreaterThan(0.55);
  expect(share / 120).toBeLessThan(0.95);
  await publish('east', { near: ['FRA', 'DE'], weight: 1 });
  const { east: few = 0 } = await countAnswers(TOKYO, 30);
  expect(few).toBeLessThan(8);
});

test('a far site serves while the near one has no instance up, until its next snapshot', async () => {
  await publish('east', { near: ['DE'] });
  await publish('west', { near: ['US'] });
  expect(await countAnswers(FRANKFURT, 3)).toEqual({ east: 3 });
  const down = { instances: [instance('east-1', 'http://192.0.2.1', { state: 'down' })] };
  await publish('east', { near: ['DE'] }, down);
  expect(await countAnswers(FRANKFURT, 5)).toEqual({ west: 5 });
  await publish('east', { near: ['DE'] });
  expect(await countAnswers(FRANKFURT, 5)).toEqual({ east: 5 });
});

test('a site dies unannounced: no GET fails, and POSTs fail only until its gateway is known to be down', async () => {
  await publish('east', { near: ['DE'] });
  await publish('west', { near: ['US'] });
  expect(await countAnswers(FRANKFURT, 3)).toEqual({ east: 3 });
  const { port } = east;
  await east.stop();
  expect(await countAnswers(FRANKFURT, 20)).toEqual({ west: 20 });
  // The gateway is out now, and non-idempotent requests do not try it again.
  expect(await countAnswers(FRANKFURT, 20, 'POST')).toEqual({ west: 20 });

  east = await startGateway('east', port);
  await expect
    .poll(() => countAnswers(FRANKFURT, 1), { timeout: 90_000, interval: 200 })
    .toEqual({ east: 1 });
  expect(await countAnswers(FRANKFURT, 5, 'POST')).toEqual({ east: 5 });
});

test('when a site with direct addresses dies, one instance is tried directly, then the other site serves', async () => {
  // By name: on Cloudflare an instance with an IP address has no direct one.
  const refused = 'http://localhost:1';
  // The isolate remembers that they failed, so no other test has these names.
  const instances = ['direct-1', 'direct-2', 'direct-3'].map((id) => instance(id, refused));
  await publish('east', { near: ['DE'] }, { instances });
  await publish('west', { near: ['US'] });
  expect(await countAnswers(FRANKFURT, 3)).toEqual({ east: 3 });
  await east.stop();
  expect(await countAnswers(FRANKFURT, 20)).toEqual({ west: 20 });
});

test('sessions of a dead site move to the other site', async () => {
  const affinity = { by: 'cookie' as const, ttl: 3_600_000 };
  await publish('east', { near: ['DE'] }, { affinity });
  await publish('west', { near: ['US'] }, { affinity });
  const first = await edge.fromPlace(FRANKFURT);
  const cookie = String(first.headers.get('set-cookie')).split(';')[0] ?? '';
  const far = await edge.fromPlace(SAN_JOSE, { headers: { cookie } });
  // A session stays at its site when its client moves far away.
  expect(JSON.parse(far.body)).toEqual({ name: 'east' });
  await east.stop();
  for (let i = 0; i < 5; i++) {
    const moved = await edge.fromPlace(FRANKFURT, { headers: { cookie } });
    expect([moved.status, moved.body]).toEqual([200, '{"name":"west"}']);
    expect(moved.headers.get('set-cookie')).toMatch(/^acgs_affinity=/);
  }
});

test('two sites use the same instance id: each keeps its sessions, and the edge logs a warning', async () => {
  const policy = {
    affinity: { by: 'cookie' as const, ttl: 3_600_000 },
    instances: [instance('gs-1', 'http://192.0.2.1')],
  };
  await publish('east', { near: ['DE'] }, policy);
  await publish('west', { near: ['US'] }, policy);
  const token = { 'x-acgs-explain': '1', 'x-acgs-token': EDGE_TOKEN };
  for (const [place, away, site, key] of [
    [FRANKFURT, SAN_JOSE, 'east', 'gs-1'],
    [SAN_JOSE, FRANKFURT, 'west', 'gs-1@west'],
  ] as const) {
    const first = await edge.fromPlace(place);
    expect(JSON.parse(first.body)).toEqual({ name: site });
    const cookie = String(first.headers.get('set-cookie')).split(';')[0] ?? '';
    const again = await edge.fromPlace(away, { headers: { cookie, ...token } });
    expect(JSON.parse(again.body)).toEqual({ name: site });
    expect(JSON.parse(String(again.headers.get('x-acgs-trace')))).toMatchObject({
      picked: { id: key, why: 'pinned' },
      sharedIds: [{ service: 'gs', id: 'gs-1', sites: ['east', 'west'] }],
    });
  }
  const warnings = () => logged.filter((line) => line.includes('shared-instance-ids')).length;
  await expect.poll(warnings, { timeout: 60_000 }).toBe(1);
});

import { afterAll, beforeAll, expect, test } from 'vitest';
import type { SnapshotRateLimit, SnapshotService } from '../../shared/snapshot/snapshot.ts';
import { EDGE_TOKEN, startEdge, type TestEdge } from '../harness/edge.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { instance, service } from '../harness/snapshot.ts';

let edge: TestEdge;
let origins: Record<'a' | 'b' | 'c', Origin>;

beforeAll(async () => {
  const [started, a, b, c] = await Promise.all([
    startEdge(),
    startOrigin('a'),
    startOrigin('b'),
    startOrigin('c'),
  ]);
  edge = started;
  origins = { a, b, c };
});
afterAll(async () => {
  await Promise.all([edge.stop(), ...Object.values(origins).map((origin) => origin.stop())]);
});

const three = (part: Partial<Record<'a' | 'b' | 'c', object>> = {}) =>
  (['a', 'b', 'c'] as const).map((id) => instance(id, origins[id].url, part[id]));

let clients = 0;
/** A client that no limit has counted yet. */
const newClient = () => `203.0.113.${++clients}`;

const publish = async (part: Partial<SnapshotService> = {}) => {
  const answer = await edge.publish({
    services: { gs: service({ path: 'direct', instances: three(), ...part }) },
  });
  expect(answer.status).toBe(200);
};

const ask = async (headers: Record<string, string> = {}, path = '/') => {
  const response = await fetch(`${edge.url}${path}`, { headers });
  const body = (await response.json()) as { name: string };
  return { response, name: body.name, cookie: response.headers.get('set-cookie')?.split(';')[0] ?? null };
};

test('a cookie pins its instance; a forged, foreign or oversized one is ignored', async () => {
  await publish({ affinity: { by: 'cookie', ttl: 3_600_000 } });
  const first = await ask();
  expect(first.cookie).toMatch(/^acgs_affinity=c1\./);
  expect(first.response.headers.get('set-cookie')).toMatch(/; Path=\/; Max-Age=\d+; HttpOnly; SameSite=Lax$/);
  for (let i = 0; i < 6; i++) {
    const again = await ask({ cookie: `x=1; ${first.cookie}` });
    expect(again.name).toBe(first.name);
    expect(again.cookie).toBeNull();
  }
  const [cookie = '', changed = ''] = [first.cookie ?? '', first.cookie?.at(20) === 'A' ? 'B' : 'A'];
  const tampered = cookie.slice(0, 20) + changed + cookie.slice(21);
  for (const bad of [
    tampered,
    'acgs_affinity=',
    'acgs_affinity=zz.AAAA',
    `acgs_affinity=c1.${'A'.repeat(9_000)}`,
  ]) {
    const answer = await ask({ cookie: bad });
    expect(answer.response.status).toBe(200);
    expect(answer.cookie, bad).toMatch(/^acgs_affinity=c1\./);
  }
});

test('a session of a dead instance moves once; a draining instance keeps its sessions and gets no new ones', async () => {
  await publish({
    affinity: { by: 'cookie', ttl: 3_600_000 },
    instances: three({ b: { state: 'down', admin: 'maint' }, c: { state: 'down', admin: 'maint' } }),
  });
  const pinned = await ask();
  expect(pinned.name).toBe('a');
  await publish({ affinity: { by: 'cookie', ttl: 3_600_000 }, instances: three({ a: { state: 'down' } }) });
  const moved = await ask({ cookie: pinned.cookie ?? '' });
  expect(moved.name).not.toBe('a');
  expect(moved.cookie).not.toBeNull();
  await publish({ affinity: { by: 'cookie', ttl: 3_600_000 } });
  expect((await ask({ cookie: moved.cookie ?? '' })).name).toBe(moved.name);
  await publish({
    affinity: { by: 'cookie', ttl: 3_600_000 },
    instances: three({ a: { state: 'draining' } }),
  });
  expect((await ask({ cookie: pinned.cookie ?? '' })).name).toBe('a');
  for (let i = 0; i < 9; i++) expect((await ask()).name).not.toBe('a');
});

test('a governance session has one instance; a pin in the snapshot overrides it', async () => {
  const session = `${Date.now()
    .toString(16)
    .padStart(12, '0')
    .replace(/^(.{8})(.{4})$/, '$1-$2')}-7abc-8abc-0123456789ab`;
  await publish({ affinity: { by: 'cookie', ttl: 3_600_000 } });
  const { name } = await ask({ 'x-governance-session': session });
  for (let i = 0; i < 5; i++) expect((await ask({ 'x-governance-session': session })).name).toBe(name);
  const other = name === 'a' ? 'b' : 'a';
  await edge.publish({
    services: { gs: service({ path: 'direct', affinity: { by: 'cookie', ttl: 1e6 }, instances: three() }) },
    pins: { [session]: { gs: other } },
  });
  expect((await ask({ 'x-governance-session': session })).name).toBe(other);
});

test('affinity by header and by client address', async () => {
  await publish({ affinity: { by: 'header', header: 'x-tenant', ttl: 1e6 } });
  const { name } = await ask({ 'x-tenant': 't1' });
  for (let i = 0; i < 5; i++) expect((await ask({ 'x-tenant': 't1' })).name).toBe(name);
  await publish({ affinity: { by: 'ip', ttl: 1e6 } });
  const owner = await ask({ 'x-acgs-sim-client': '2001:db8:1:2::1' });
  for (let i = 0; i < 5; i++)
    expect((await ask({ 'x-acgs-sim-client': `2001:db8:1:2::${i}` })).name).toBe(owner.name);
});

/** The window is long, so that it cannot end in the middle of a test. */
const perIp: SnapshotRateLimit = { name: 'per-ip', key: 'ip', limit: 20, window: 600_000, scope: 'edge' };

test('the 21st request in the window gets 429 with correct headers; other clients are not affected', async () => {
  await publish({ rateLimits: [perIp] });
  const client = { 'x-acgs-sim-client': newClient() };
  const first = await ask(client);
  expect(first.response.headers.get('ratelimit-policy')).toBe('"per-ip";q=20;w=600');
  expect(first.response.headers.get('ratelimit')).toBe('"per-ip";r=19;t=600');
  for (let i = 0; i < 19; i++) expect((await ask(client)).response.status).toBe(200);
  const { response } = await ask(client);
  expect(response.status).toBe(429);
  expect(response.headers.get('content-type')).toBe('application/problem+json');
  expect(response.headers.get('ratelimit')).toMatch(/^"per-ip";r=0;t=\d+$/);
  const t = Number(/t=(\d+)/.exec(response.headers.get('ratelimit') ?? '')?.[1]);
  expect(Number(response.headers.get('retry-after'))).toBeGreaterThanOrEqual(t);
  const body = await fetch(`${edge.url}/`, { headers: client });
  expect(await body.json()).toMatchObject({
    type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
    status: 429,
    'violated-policies': ['per-ip'],
  });
  expect((await ask({ 'x-acgs-sim-client': newClient() })).response.status).toBe(200);
});

test('a shadow policy never denies; exempt networks and other routes are not limited; overrides raise the limit', async () => {
  const limit = { ...perIp, name: 'tight', limit: 1 };
  const client = { 'x-acgs-sim-client': newClient() };
  await publish({ rateLimits: [{ ...limit, shadow: true }] });
  for (let i = 0; i < 3; i++) {
    const { response } = await ask(client);
    expect([response.status, response.headers.get('ratelimit')]).toEqual([200, null]);
  }
  await publish({ rateLimits: [{ ...limit, name: 'exempt', exempt: ['203.0.113.0/24'] }] });
  for (let i = 0; i < 3; i++) expect((await ask(client)).response.status).toBe(200);
  await publish({ rateLimits: [{ ...limit, name: 'route', routes: ['/heavy'] }] });
  for (let i = 0; i < 3; i++) expect((await ask(client)).response.status).toBe(200);
  await ask(client, '/heavy');
  expect((await ask(client, '/heavy/x')).response.status).toBe(429);
  const [someone, partner] = [newClient(), newClient()];
  await publish({
    rateLimits: [{ ...limit, name: 'keys', key: 'header:x-key', overrides: { [partner]: 3 } }],
  });
  expect((await ask({ 'x-key': someone })).response.status).toBe(200);
  expect((await ask({ 'x-key': someone })).response.status).toBe(429);
  for (let i = 0; i < 3; i++) expect((await ask({ 'x-key': partner })).response.status).toBe(200);
});

test('with several policies, a denied request is counted by none of them', async () => {
  await publish({
    rateLimits: [
      { ...perIp, name: 'wide', limit: 10 },
      { ...perIp, name: 'narrow', key: 'header:x-k', limit: 1 },
    ],
  });
  const address = newClient();
  const client = { 'x-acgs-sim-client': address, 'x-k': `${address}-1` };
  expect((await ask(client)).response.headers.get('ratelimit')).toMatch(
    /^"wide";r=9;t=\d+, "narrow";r=0;t=\d+$/,
  );
  for (let i = 0; i < 4; i++) {
    const { response } = await ask(client);
    expect(response.status).toBe(429);
    expect(response.headers.get('ratelimit')).toMatch(/^"narrow";r=0;t=\d+$/);
  }
  expect((await ask({ ...client, 'x-k': `${address}-2` })).response.headers.get('ratelimit')).toMatch(
    /^"wide";r=8;/,
  );
});

test('a global limit holds, by leases from the Durable Object', async () => {
  await publish({
    rateLimits: [{ ...perIp, name: `shared-${newClient()}`, key: 'global', limit: 30, scope: 'global' }],
  });
  const statuses = await Promise.all(Array.from({ length: 50 }, async () => (await ask()).response.status));
  const later = await Promise.all(Array.from({ length: 20 }, async () => (await ask()).response.status));
  const admitted = [...statuses, ...later].filter((status) => status === 200).length;
  expect(admitted).toBeLessThanOrEqual(30);
  expect(admitted).toBeGreaterThan(15);
  expect(later.every((status) => status === 429)).toBe(true);
});

test('a shared limit counts all services together, per isolate and globally; other limits count each service alone', async () => {
  const publishTwo = (policy: SnapshotRateLimit) =>
    edge.publish({
      services: Object.fromEntries(
        ['one', 'two'].map((id) => [
          id,
          service({ routes: [`/${id}`], path: 'direct', instances: three(), rateLimits: [policy] }),
        ]),
      ),
    });
  const turns = async (policy: SnapshotRateLimit) => {
    const address = newClient();
    await publishTwo(policy);
    const seen = [];
    for (const path of ['/one', '/two', '/one', '/two', '/one', '/two']) {
      seen.push((await ask({ 'x-acgs-sim-client': address }, path)).response.status);
    }
    return seen;
  };
  const few = { ...perIp, limit: 3 };
  expect(await turns({ ...few, name: 'each' })).toEqual(Array(6).fill(200));
  const together = [200, 200, 200, 429, 429, 429];
  expect(await turns({ ...few, name: 'all', shared: true })).toEqual(together);
  const global = { ...few, name: 'all-global', scope: 'global' as const, shared: true };
  expect(await turns(global)).toEqual(together);
});

test('access rules: /admin is closed to outside clients in every spelling', async () => {
  await publish({ access: [{ path: '/admin', allow: ['10.0.0.0/8'] }] });
  const outside = { 'x-acgs-sim-client': '203.0.113.9' };
  for (const path of ['/admin', '/admin/x', '/%61dmin', '//admin', '/ADMIN']) {
    expect((await fetch(`${edge.url}${path}`, { headers: outside })).status, path).toBe(403);
  }
  expect((await ask({ 'x-acgs-sim-client': '10.1.1.1' }, '/admin')).response.status).toBe(200);
  expect((await ask(outside, '/administrator')).response.status).toBe(200);
});

test('explain requires the token and returns the trace', async () => {
  await publish({ instances: three({ c: { state: 'down', reason: 'connect refused – ünknown' } }) });
  expect((await ask({ 'x-acgs-explain': '1' })).response.headers.get('x-acgs-trace')).toBeNull();
  expect(
    (await ask({ 'x-acgs-explain': '1', 'x-acgs-token': 'wrong' })).response.headers.get('x-acgs-trace'),
  ).toBeNull();
  const { response } = await ask({ 'x-acgs-explain': '1', 'x-acgs-token': EDGE_TOKEN });
  const trace: unknown = JSON.parse(response.headers.get('x-acgs-trace') ?? 'null');
  expect(trace).toMatchObject({
    service: 'gs',
    // A refresh in the background may have fetched it first.
    snapshot: { site: 'main', source: expect.stringMatching(/^(put|hub|kv)$/) },
    picked: { why: 'picked' },
    attempts: [{ route: 'direct', result: 'response', status: 200 }],
  });
  expect(JSON.stringify(trace)).toContain('ünknown');
  // It is off by default.
  expect(response.headers.get('server-timing')).toBeNull();
  expect(origins.a.requests.concat(origins.b.requests).every((one) => !('x-acgs-token' in one.headers))).toBe(
    true,
  );
});

test('a limit with a burst admits the burst at once, then one request per window / limit', async () => {
  const client = { 'x-acgs-sim-client': newClient() };
  // One every two minutes: even on a slow machine none is added during the test.
  await publish({ rateLimits: [{ ...perIp, name: 'burst', limit: 5, burst: 8 }] });
  const answers = [];
  for (let i = 0; i < 9; i++) answers.push((await ask(client)).response);
  expect(answers.map((one) => one.status)).toEqual([...Array(8).fill(200), 429]);
  // A sliding window of 5 would admit the next one only after ten minutes.
  expect(Number(answers.at(-1)?.headers.get('retry-after'))).toBeLessThanOrEqual(121);
  expect((await ask({ 'x-acgs-sim-client': newClient() })).response.status).toBe(200);

  const quick = { 'x-acgs-sim-client': newClient() };
  await publish({ rateLimits: [{ ...perIp, name: 'drip', limit: 1, window: 2_000, burst: 2 }] });
  const statuses = [];
  for (let i = 0; i < 3; i++) statuses.push((await ask(quick)).response.status);
  expect(statuses.slice(0, 2)).toEqual([200, 200]);
  await expect.poll(async () => (await ask(quick)).response.status, { timeout: 60_000 }).toBe(200);
});

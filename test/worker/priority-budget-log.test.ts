import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { SnapshotInstance, SnapshotService } from '../../shared/snapshot/snapshot.ts';
import { EDGE_TOKEN, startEdge, type TestEdge } from '../harness/edge.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { instance, service } from '../harness/snapshot.ts';

type Id = 'a' | 'b' | 'c' | 'd';
const IDS: readonly Id[] = ['a', 'b', 'c', 'd'];

let edge: TestEdge;
let origins: Record<Id, Origin>;
const lines: { level: string; message: string }[] = [];

beforeAll(async () => {
  const [started, a, b, c, d] = await Promise.all([
    startEdge({ vars: { LOG_SAMPLE: '1' }, onLog: (line) => lines.push(line) }),
    ...IDS.map((id) => startOrigin(id)),
  ] as const);
  edge = started;
  origins = { a, b, c, d } as Record<Id, Origin>;
});
afterAll(async () => {
  await Promise.all([edge.stop(), ...IDS.map((id) => origins[id].stop())]);
});
beforeEach(() => {
  for (const id of IDS) {
    origins[id].requests.length = 0;
    origins[id].answer((_, response) => response.end(JSON.stringify({ name: id })));
  }
});

let run = 0;
/** Publishes a new service each time, so that the isolate's state of earlier instances has no effect. */
async function publish(
  part: Partial<Record<Id, Partial<SnapshotInstance>>>,
  policy: Partial<SnapshotService> = {},
) {
  const instances = Object.entries(part).map(([id, more]) => instance(id, origins[id as Id].url, more));
  const services = { [`gs${++run}`]: service({ path: 'direct', instances, ...policy }) };
  expect((await edge.publish({ services })).status).toBe(200);
}

async function spread(count: number): Promise<Record<string, number>> {
  const seen: Record<string, number> = {};
  for (let i = 0; i < count; i++) {
    const response = await fetch(`${edge.url}/`);
    const text = await response.text();
    const who = response.ok ? (JSON.parse(text) as { name: string }).name : String(response.status);
    seen[who] = (seen[who] ?? 0) + 1;
  }
  return seen;
}

const failover = (part: Partial<SnapshotService['failover']>) => ({
  failover: { ...service({ instances: [] }).failover, ...part },
});

test('backups get nothing while enough primaries are up, then the overflow, then all traffic', async () => {
  await publish({ a: {}, b: {}, c: { priority: 2 } });
  expect(await spread(20)).toEqual({ a: 10, b: 10 });
  await publish({ a: {}, b: { state: 'down' }, c: { priority: 2 } });
  const { c: spilled = 0, a: kept = 0 } = await spread(100);
  // 1.4 × ½ stays and 30 % overflows, within five standard deviations.
  expect(spilled).toBeGreaterThan(7);
  expect(spilled).toBeLessThan(53);
  expect(kept + spilled).toBe(100);
  await publish({ a: { state: 'down' }, b: { state: 'down' }, c: { priority: 2 } });
  expect(await spread(10)).toEqual({ c: 10 });
});

test('a request fails over to a backup when the only primary dies unannounced', async () => {
  await publish({ a: {}, c: { priority: 2 } });
  origins.a.answer((_, response) => response.socket?.destroy());
  expect(await spread(4)).toEqual({ c: 4 });
  expect(origins.a.requests.length).toBeGreaterThan(0);
});

test('panic mode: with fewer than half up, health is ignored but admin state is not; circuit_break has no panic mode', async () => {
  const states = {
    a: {},
    b: { state: 'down' },
    c: { state: 'down' },
    d: { state: 'down', admin: 'maint' },
  } as const;
  await publish(states);
  expect(await spread(12)).toEqual({ a: 4, b: 4, c: 4 });
  const status = await fetch(`${edge.url}/__acgs/status`, {
    headers: { authorization: `Bearer ${EDGE_TOKEN}` },
  });
  expect(await status.json()).toMatchObject({ services: [{ panic: true }] });
  await publish(states, failover({ strategy: 'circuit_break' }));
  expect(await spread(6)).toEqual({ a: 6 });
});

test('retry budget: when it is used up, each request has one attempt', async () => {
  for (const id of IDS) origins[id].answer((_, response) => response.writeHead(502).end());
  await publish({ a: {}, b: {}, c: {}, d: {} }, failover({ retryBudget: 0, maxAttempts: 3 }));
  const began = Date.now();
  const requests = 150;
  for (let i = 0; i < requests; i += 10) {
    const answers = await Promise.all(Array.from({ length: 10 }, () => fetch(`${edge.url}/`)));
    for (const answer of answers) expect(answer.status).toBe(502);
  }
  const tries = IDS.reduce((sum, id) => sum + origins[id].requests.length, 0);
  // The floor is ten a second for ten seconds. Without a budget there would be 300 retries.
  expect(tries - requests).toBeGreaterThanOrEqual(100);
  expect(tries - requests).toBeLessThanOrEqual(100 * (1 + Math.ceil((Date.now() - began) / 10_000)));
});

const logged = () =>
  lines.flatMap(({ level, message }) =>
    message.includes('"event":"request"')
      ? [{ level, ...(JSON.parse(message) as { path: string; kind: string; suppressed?: number }) }]
      : [],
  );

test('log: with LOG_SAMPLE=1 one line per request, without query or headers; a 429 is not a problem', async () => {
  const limit = { name: 'one', key: 'ip', limit: 1, window: 600_000, scope: 'edge' as const };
  await publish({ a: {} }, { rateLimits: [limit], access: [{ path: '/admin', allow: ['10.0.0.0/8'] }] });
  const headers = { 'x-acgs-sim-client': '203.0.113.5', authorization: 'Bearer s3cret' };
  const before = logged().length;
  const paths = [`/logged-${run}`, `/logged-${run}/again`, `/admin/${run}`];
  for (const path of paths) await fetch(`${edge.url}${path}?token=s3cret`, { headers });
  const mine = () => logged().filter(({ path }) => paths.includes(path));
  await expect.poll(() => mine().length, { timeout: 60_000 }).toBe(3);
  expect(mine()).toMatchObject([
    { level: 'log', path: paths[0], kind: 'answer', status: 200, client: '203.0.113.5', instance: 'a' },
    { level: 'log', path: paths[1], kind: 'limited', status: 429, instance: null },
    { level: 'log', path: paths[2], kind: 'forbidden', status: 403, instance: null },
  ]);
  expect(JSON.stringify(logged().slice(before))).not.toContain('s3cret');
});

test('log: at most five problems a second, and the next line has the number of suppressed ones', async () => {
  origins.a.answer((_, response) => response.writeHead(503).end());
  await publish({ a: {} }, failover({ maxAttempts: 1 }));
  const [problem, afterwards] = [`/problem-${run}`, `/after-${run}`];
  const untilLogged = (path: string) =>
    expect
      .poll(
        async () => {
          await fetch(edge.url + path);
          return logged().some((line) => line.path === path);
        },
        { timeout: 60_000, interval: 300 },
      )
      .toBe(true);
  // The first line reports what was suppressed before.
  await untilLogged(`/before-${run}`);
  const [before, began] = [logged().length, Date.now()];
  await Promise.all(Array.from({ length: 60 }, () => fetch(edge.url + problem)));
  const seconds = Math.ceil((Date.now() - began) / 1_000) + 1;
  await untilLogged(afterwards);
  const mine = logged().filter(({ path }) => path === problem);
  const suppressed = logged()
    .slice(before)
    .reduce((sum, line) => sum + (line.suppressed ?? 0), 0);
  expect(mine.length).toBeLessThanOrEqual(5 * seconds);
  expect(mine.every(({ level }) => level === 'warn')).toBe(true);
  // May include other suppressed lines from before and after.
  expect(mine.length + suppressed).toBeGreaterThanOrEqual(60);
});

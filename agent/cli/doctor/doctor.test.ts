import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseConfig } from '../../../shared/config/load.ts';
import { eventually } from '../../../test/harness/eventually.ts';
import { generateSiteSecrets } from '../../snapshot/signing-keys.ts';
import { checkEdge } from './edge.ts';
import { checkClock } from './finding.ts';
import { checkEnvironment, checkNode } from './host.ts';
import type { DoctorInput } from './input.ts';
import { checkPostgres, checkRedis } from './stores.ts';

const text = readFileSync(new URL('../../../acgs-lb.yaml', import.meta.url), 'utf8');
const secrets = generateSiteSecrets('main', new Date(0));
const env = { ...secrets.edge, ...secrets.agent };
/** All clocks of these tests: doctor compares the edge's clock with this host's. */
const NOW = Date.UTC(2026, 10, 24, 12);
const input = (over: Partial<DoctorInput> = {}): DoctorInput => ({
  stateDir: '/nowhere',
  stack: null,
  configFile: 'acgs-lb.yaml',
  config: parseConfig(text),
  env,
  fetch: globalThis.fetch,
  now: () => NOW,
  ...over,
});

let restore: string | undefined;
beforeAll(() => {
  restore = process.env.DATABASE_URL;
  delete process.env.DATABASE_URL;
});
afterAll(() => {
  if (restore) process.env.DATABASE_URL = restore;
});

/** A fake edge with the given responses. */
function edge(answers: {
  order?: object;
  put?: number;
  gateway?: number;
  date?: Date;
  hasCache?: boolean;
}): typeof globalThis.fetch {
  const { order = { epoch: 2, seq: 5 }, put = 409, gateway = 200, date = new Date(NOW) } = answers;
  const { hasCache = true } = answers;
  return async (input, init) => {
    const { pathname } = new URL(String(input));
    if (pathname === '/__acgs/health') return Response.json({}, { headers: { date: date.toUTCString() } });
    if (pathname === '/__acgs/status') return Response.json({ hasCache });
    if (init?.method === 'PUT') return Response.json({}, { status: put });
    if (pathname.startsWith('/__acgs/snapshot/')) return Response.json(order);
    const attempts = [{ route: 'gateway', origin: 'http://gw', status: gateway }];
    return Response.json(
      {},
      { headers: { 'x-acgs-trace': JSON.stringify({ attempts }), 'x-acgs-instance': 'auth-1' } },
    );
  };
}
const stateOf = async (over: Partial<DoctorInput>, name: string) =>
  (await checkEdge(input(over), null)).find((finding) => finding.name === name)?.state;

test('a correct edge passes every check', async () => {
  const findings = await checkEdge(input({ fetch: edge({}) }), null);
  expect(findings.map(({ state }) => state)).toEqual(Array(7).fill('ok'));
});

test('each mismatch with the edge is a failure with a fix', async () => {
  expect(await stateOf({ fetch: edge({ put: 401 }) }, 'signature')).toBe('fail');
  expect(await stateOf({ fetch: edge({ hasCache: false }) }, 'edge cache')).toBe('warn');
  expect(await stateOf({ fetch: edge({ gateway: 401 }) }, 'edge → gateway')).toBe('fail');
  expect(await stateOf({ fetch: edge({ order: { epoch: 0, seq: 0 } }) }, 'snapshot')).toBe('fail');
  expect(await stateOf({ fetch: edge({ date: new Date(NOW - 60_000) }) }, 'edge clock')).toBe('fail');
  const otherKey = generateSiteSecrets('main', new Date(0)).edge.GATEWAY_JWT_KEY;
  expect(await stateOf({ fetch: edge({}), env: { ...env, GATEWAY_JWT_KEY: otherKey } }, 'edge key')).toBe(
    'fail',
  );
  const unreachable = () => Promise.reject(new Error('fetch failed'));
  const [finding] = await checkEdge(input({ fetch: unreachable }), null);
  expect(finding).toMatchObject({ state: 'fail', mend: expect.stringContaining('edge.url') });
});

test('clocks: one second apart is ok, ten seconds a warning, one minute a failure', () => {
  expect([1_000, 10_000, -60_000].map((off) => checkClock('clock', off, 0).state)).toEqual([
    'ok',
    'warn',
    'fail',
  ]);
});

test('Node, environment, and unreachable stores', async () => {
  expect(checkNode('20.1.0').state).toBe('fail');
  expect(checkNode('24.0.0').state).toBe('ok');
  expect(checkEnvironment(input())).toEqual([{ name: 'environment', state: 'ok', detail: 'development' }]);
  expect(checkEnvironment(input({ env: {} }))[0]).toMatchObject({
    state: 'fail',
    detail: expect.stringContaining('SNAPSHOT_SIGNING_KEY'),
  });
  const refused = { state: 'fail', detail: expect.stringContaining('ECONNREFUSED') };
  // Doctor waits only a few seconds: retry on a busy machine.
  await eventually(async () => {
    const [redis] = await checkRedis(input({ env: { REDIS_URL: 'redis://127.0.0.1:1' } }));
    expect(redis).toMatchObject(refused);
  });
  await eventually(async () => {
    const [postgres] = await checkPostgres(input({ env: { DATABASE_URL: 'postgres://a:b@127.0.0.1:1/c' } }));
    expect(postgres).toMatchObject(refused);
  });
});

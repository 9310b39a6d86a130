import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { SnapshotRateLimit } from '../../shared/snapshot/snapshot.ts';
import { startEdge, type TestEdge } from '../harness/edge.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { instance, service } from '../harness/snapshot.ts';

const ROOT = join(import.meta.dirname, '../..');
/** Ours would never deny: what is denied, the binding denied. */
const POLICY: SnapshotRateLimit = {
  ...{ name: 'native', key: 'ip', limit: 1e6, window: 10_000, scope: 'edge', native: 'NATIVE_PER_IP' },
};

const folder = mkdtempSync(join(tmpdir(), 'acgs-native-'));
const lines: string[] = [];
let edge: TestEdge;
let origin: Origin;

beforeAll(async () => {
  // The binding that wrangler.toml shows in a comment, as it is when the comment signs are taken away.
  const shown = readFileSync(join(ROOT, 'wrangler.toml'), 'utf8')
    .replace(/^# (\[\[ratelimits\]\]\n)((?:# .+\n)+)/m, (_, head, rest) => head + rest.replace(/^# /gm, ''))
    .replace('main = "', `main = "${ROOT}/`);
  const config = join(folder, 'wrangler.toml');
  // And one that fails: another Worker, which has no such method.
  writeFileSync(config, `${shown}\n[[services]]\nbinding = "FAILS"\nservice = "edge"\n`);
  [edge, origin] = await Promise.all([
    startEdge({ config, onLog: ({ message }) => lines.push(message) }),
    startOrigin('a'),
  ]);
});
afterAll(async () => {
  await Promise.all([edge.stop(), origin.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

const publish = async (...rateLimits: SnapshotRateLimit[]) => {
  const instances = [instance('a', origin.url)];
  const answer = await edge.publish({ services: { gs: service({ path: 'direct', instances, rateLimits }) } });
  expect(answer.status).toBe(200);
};
let clients = 0;
/** One that no limit has counted yet. */
const newClient = () => `203.0.113.${++clients}`;
const ask = (client: string) => fetch(`${edge.url}/`, { headers: { 'x-acgs-sim-client': client } });
const statuses = async (client: string, count: number): Promise<number[]> => {
  const seen = [];
  for (let i = 0; i < count; i++) seen.push((await ask(client)).status);
  return seen;
};
const warnings = (binding: string) =>
  lines.filter((line) => line.includes('native-limit') && line.includes(binding));

test('the binding of wrangler.toml denies what is over its limit, by the policy’s name and key', async () => {
  await publish(POLICY);
  const client = newClient();
  // Its windows begin with the clock's: 21 requests may fall into two of them.
  let denied: Response | undefined;
  await expect
    .poll(
      async () => {
        const answers = await Promise.all(Array.from({ length: 21 }, () => ask(client)));
        denied = answers.find((one) => one.status === 429);
        return denied?.status;
      },
      { timeout: 90_000, interval: 0 },
    )
    .toBe(429);
  expect(await denied?.json()).toMatchObject({ 'violated-policies': ['native'] });
  expect(Number(denied?.headers.get('retry-after'))).toBeGreaterThan(0);
  expect((await ask(newClient())).status).toBe(200);
  // On a busy machine it may once be too slow, which is said as well.
  expect(warnings('NATIVE_PER_IP').filter((line) => !line.includes('no answer within'))).toEqual([]);
});

test('a binding that is not there: our own limit holds, and the log says so once', async () => {
  await publish({ ...POLICY, limit: 2, window: 600_000, native: 'NOT_THERE' });
  expect(await statuses(newClient(), 4)).toEqual([200, 200, 429, 429]);
  await expect.poll(() => warnings('NOT_THERE').length, { timeout: 60_000 }).toBe(1);
  expect(warnings('NOT_THERE')[0]).toContain('no [[ratelimits]] binding has this name');
});

test('a binding that throws, likewise, for a global policy too', async () => {
  await publish({ ...POLICY, key: 'global', limit: 4, window: 600_000, scope: 'global', native: 'FAILS' });
  const seen = await statuses(newClient(), 8);
  expect(seen.filter((status) => status === 200).length).toBeLessThanOrEqual(4);
  expect(seen.at(-1)).toBe(429);
  await expect.poll(() => warnings('FAILS').length, { timeout: 60_000 }).toBe(1);
  expect(warnings('FAILS')[0]).toContain('policy native is held by our own limits');
  expect(warnings('FAILS')[0]).not.toContain('no [[ratelimits]]');
});

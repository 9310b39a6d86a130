import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { beforeAll, expect, test } from 'vitest';
import { MAX_KEYS } from '../../shared/limits/limiter.ts';
import { compileRateLimit } from '../../shared/limits/policy.ts';
import type { SnapshotRateLimit } from '../../shared/snapshot/snapshot.ts';
import { BoundedCache } from '../../worker/io/bounded-cache.ts';
import { Limiters } from '../../worker/io/limiters.ts';
import { eventually } from '../harness/eventually.ts';

const MIB = 1024 * 1024;
const CLIENTS = 1_000_000;
const START = 1_800_000_000_000;

let collect: () => void;
beforeAll(() => {
  setFlagsFromString('--expose-gc');
  collect = runInNewContext('gc') as () => void;
});

/** Bytes in use after garbage collection. Buffers are freed in the background, hence the turns. */
async function bytesInUse(): Promise<number> {
  let bytes = Number.POSITIVE_INFINITY;
  for (let turn = 0; turn < 5; turn++) {
    collect();
    await setImmediate();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    bytes = Math.min(bytes, heapUsed + arrayBuffers);
  }
  return bytes;
}

/** Bytes that `work` leaves in use. Its result stays alive during the measurement. */
async function bytesAdded(work: () => unknown): Promise<number> {
  const before = await bytesInUse();
  const kept = work();
  const after = await bytesInUse();
  return kept === undefined ? Number.NaN : after - before;
}

const addressOf = (client: number): string => `10.${client >> 16}.${(client >> 8) & 255}.${client & 255}`;

const policy = (part: Partial<SnapshotRateLimit> = {}) =>
  compileRateLimit({ name: 'p', key: 'ip', limit: 20, window: 10_000, scope: 'edge', ...part });

test('a million clients in 50 s: the limiter stays within its table, and the busy client stays limited', async () => {
  const perIp = policy();
  const limiters = new Limiters(() => null);
  let denied = 0;
  const bytes = await bytesAdded(() => {
    const limiter = limiters.forPolicy('gs', perIp);
    for (let client = 0; client < CLIENTS; client++) {
      const now = START + client / 20;
      limiter.take(addressOf(client), 20, 1, now);
      // 40 in 10 s: twice its limit.
      if (client % 5_000 === 0 && !limiter.take('busy', 20, 1, now).allowed) denied++;
    }
    return limiters;
  });
  // 82 bytes per row and about 100 for its key. A plain map of all clients takes over 100 MB.
  expect(bytes).toBeLessThan(MAX_KEYS * 250);
  expect(denied).toBeGreaterThan(90);
});

test('fifty policies with the widest rows share one memory budget', async () => {
  const policies = Array.from({ length: 50 }, (_, index) => policy({ name: `p${index}`, limit: 256 }));
  const services = new Map([['gs', { id: 'gs', limits: policies }]]);
  const limiters = new Limiters(() => ({ services }));
  const bytes = await bytesAdded(() => {
    for (let client = 0; client < 150_000; client++) {
      const one = policies[client % policies.length];
      if (one) limiters.forPolicy('gs', one).take(addressOf(client), 256, 1, START + client);
    }
    return limiters;
  });
  // Each alone could take 33 MB.
  expect(bytes).toBeLessThan(80 * MIB);
});

test('drops the counters of removed policies when a new policy comes; an unchanged policy keeps its counts', async () => {
  let limits = [policy({ name: 'old', limit: 200 }), policy({ name: 'kept', limit: 1 })];
  const limiters = new Limiters(() => ({ services: new Map([['gs', { id: 'gs', limits }]]) }));
  const at = (index: number) => limiters.forPolicy('gs', limits[index] ?? policy());
  // A separate function: a variable here would keep the policy and its limiter alive.
  const fill = () => {
    const old = at(0);
    for (let client = 0; client < 20_000; client++) old.take(addressOf(client), 200, 1, START);
    at(1).take('k', 1, 1, START);
  };
  fill();
  const full = await bytesInUse();
  limits = [policy({ name: 'new' }), policy({ name: 'kept', limit: 1 })];
  at(0);
  await eventually(async () => expect(full - (await bytesInUse())).toBeGreaterThan(10 * MIB));
  expect(at(1).take('k', 1, 1, START + 1).allowed).toBe(false);
});

test('a bounded cache stays small after a million entries', async () => {
  const cache = new BoundedCache<number>(4_096);
  const bytes = await bytesAdded(() => {
    for (let client = 0; client < CLIENTS; client++) cache.set(`cookie-${client}`, client);
    return cache;
  });
  expect(bytes).toBeLessThan(4 * MIB);
  expect([cache.get('cookie-0'), cache.get(`cookie-${CLIENTS - 1}`)]).toEqual([undefined, CLIENTS - 1]);
});

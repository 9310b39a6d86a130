import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { HealthCheck } from '../../shared/config/config.ts';
import { createProber, type Prober } from './scheduler.ts';
import type { ProbeObservation, ProbeTarget } from './target.ts';

const check: HealthCheck = {
  type: 'http',
  method: 'GET',
  path: '/health',
  headers: {},
  rise: 2,
  fall: 3,
  interval: 10_000,
  fastInterval: 1_000,
  timeout: 3_000,
  expect: { status: [[200, 200]] },
};
const targetOf = (index: number): ProbeTarget => ({
  key: `gs/gs-${index}`,
  service: 'gs',
  instance: `gs-${index}`,
  url: `http://127.0.0.1:${8000 + index}`,
  check,
});

/** A seeded generator (mulberry32): the same jitter in every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

let prober: Prober;
let begun: { key: string; at: number }[];
let closedHooks: Map<string, () => void>;

beforeEach(() => {
  vi.useFakeTimers({ now: 1_700_000_000_000 });
  begun = [];
  closedHooks = new Map();
});
afterEach(() => {
  prober.close();
  vi.useRealTimers();
});

/** Probes whose responses take `tookMs`; every target has the interval `pace` from its first result on. */
function start(count: number, options: { tookMs?: number; random?: () => number } = {}): void {
  const { tookMs = 1, random = () => 0.5 } = options;
  prober = createProber({
    random,
    onResult: ({ instance }) => prober.setProbeInterval(`gs/${instance}`, 'normal'),
    createProbe(target, onClosed) {
      closedHooks.set(target.key, onClosed);
      return {
        run() {
          begun.push({ key: target.key, at: Date.now() });
          return new Promise<ProbeObservation>((resolve) => {
            setTimeout(resolve, tookMs, { ok: tookMs < check.timeout, latencyMs: tookMs });
          });
        },
        close: () => {},
      };
    },
  });
  prober.sync(Array.from({ length: count }, (_, index) => targetOf(index)));
}

test('the probes of a thousand instances are spread evenly over the interval', async () => {
  start(1_000, { random: seeded(1) });
  await vi.advanceTimersByTimeAsync(20_000);
  begun = [];
  const from = Date.now();
  await vi.advanceTimersByTimeAsync(10_000);
  const slots = Array.from({ length: 10 }, () => 0);
  for (const { at } of begun) {
    const slot = Math.min(9, Math.floor((at - from) / 1_000));
    slots[slot] = (slots[slot] ?? 0) + 1;
  }
  expect(Math.min(...slots)).toBeGreaterThan(60);
  expect(Math.max(...slots)).toBeLessThan(140);
});

test('slow probes do not change the interval, and jitter does not accumulate', async () => {
  start(1, { tookMs: 25_000, random: seeded(1) });
  prober.setProbeInterval('gs/gs-0', 'normal');
  await vi.advanceTimersByTimeAsync(300_000);
  // About 30 probes; if hung probes delayed the next ones, there would be 12.
  expect(begun.length).toBeGreaterThanOrEqual(29);
  expect(begun.length).toBeLessThanOrEqual(32);
});

test('setting the wall clock changes neither the interval nor the lateness of probes', async () => {
  start(1);
  await vi.advanceTimersByTimeAsync(30_000);
  prober.stats();
  begun = [];
  for (const hours of [1, -2, 1]) {
    vi.setSystemTime(Date.now() + hours * 3_600_000);
    prober.setProbeInterval('gs/gs-0', 'fast');
    await vi.advanceTimersByTimeAsync(30_000);
  }
  expect(begun.length).toBeGreaterThanOrEqual(9);
  expect(prober.stats().latenessMs.max).toBeLessThan(1_000);
});

test('a hint causes a probe at once; frequent hints are limited', async () => {
  start(1);
  await vi.advanceTimersByTimeAsync(30_000);
  begun = [];
  closedHooks.get('gs/gs-0')?.();
  expect(begun).toHaveLength(1);
  for (let closing = 0; closing < 200; closing++) {
    await vi.advanceTimersByTimeAsync(50);
    closedHooks.get('gs/gs-0')?.();
  }
  // In ten seconds: one hint a second once the gap has grown, and the regular probes.
  expect(begun.length).toBeLessThan(18);
});

test('an urgent target is probed every 100 ms, and unchanged targets keep their schedule over a sync', async () => {
  start(2);
  await vi.advanceTimersByTimeAsync(30_000);
  const created = closedHooks.get('gs/gs-1');
  prober.sync([targetOf(1), targetOf(2)]);
  expect(closedHooks.get('gs/gs-1')).toBe(created);
  begun = [];
  prober.setProbeInterval('gs/gs-1', 'urgent');
  await vi.advanceTimersByTimeAsync(100);
  expect(begun.filter(({ key }) => key === 'gs/gs-1')).toHaveLength(1);
  expect(begun.some(({ key }) => key === 'gs/gs-0')).toBe(false);
});

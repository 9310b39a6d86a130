import fc from 'fast-check';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { grantLease, leaseDurationMs, newLeaseLedger } from '../../shared/limits/lease-ledger.ts';
import type { LimitDecision } from '../../shared/limits/limiter.ts';
import { compileRateLimit } from '../../shared/limits/policy.ts';
import { LimitLeases, type RequestLease } from './limit-leases.ts';

const WINDOW = 10_000;
const START = 1_700_000_000_000;
const LIMIT = 20;
/** What each isolate admits in a window without an answer of the Limiter. */
const UNAIDED = 2;
const ctx = { waitUntil: (): void => {} };

const leaseId = (cost: number, key = '*') => ({
  service: 's',
  policy: compileRateLimit({
    name: 'all',
    key: 'global',
    limit: LIMIT,
    cost,
    window: WINDOW,
    scope: 'global',
  }),
  key,
});
const ID = leaseId(1);

beforeEach(() => {
  vi.useFakeTimers({ now: START });
});
afterEach(() => {
  vi.useRealTimers();
});

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** One Limiter, and the units that it granted. */
function startLimiter(delayMs: () => number, fails: () => boolean = () => false) {
  const ledger = newLeaseLedger();
  const granted: { at: number; units: number }[] = [];
  const lease: RequestLease = async (_, request) => {
    await sleep(delayMs());
    if (fails()) throw new Error('overloaded');
    const answer = grantLease(ledger, request, Date.now());
    granted.push({ at: Date.now(), units: answer.units });
    await sleep(delayMs());
    return answer;
  };
  return { lease, granted };
}

const isolates = (count: number, lease: RequestLease): LimitLeases[] =>
  Array.from({ length: count }, (_, index) => new LimitLeases(lease, `i${index}`));

/** Sends `parallel` requests to each isolate at once; the number that passes. */
async function burst(leases: readonly LimitLeases[], parallel: number, id = ID): Promise<number> {
  const decisions = leases.flatMap((one) =>
    Array.from({ length: parallel }, async () => one.take(id, LIMIT, Date.now(), ctx)),
  );
  await vi.advanceTimersByTimeAsync(2_000);
  return (await Promise.all(decisions)).filter(({ allowed }) => allowed).length;
}

test.each([0, 1, 5])(
  '10 isolates × 20 parallel requests get exactly the limit at %i ms each way',
  async (delay) => {
    const { lease } = startLimiter(() => delay);
    const leases = isolates(10, lease);
    expect(await burst(leases, 20)).toBe(LIMIT);
    expect(await burst(leases, 20)).toBe(0);
  },
);

test.each([40, 74, 90, 400, 3_000])(
  '10 isolates × 20 parallel requests stay within the stated overshoot at %i ms each way',
  async (delay) => {
    const { lease, granted } = startLimiter(() => delay);
    const admitted = await burst(isolates(10, lease), 20);
    expect(admitted).toBeGreaterThanOrEqual(10);
    expect(admitted).toBeLessThanOrEqual(LIMIT + 10 * UNAIDED);
    expect(granted.reduce((sum, { units }) => sum + units, 0)).toBeLessThanOrEqual(LIMIT);
  },
);

test('a Limiter that fails or hangs opens no more than a tenth of the limit per isolate', async () => {
  const failing: RequestLease = async () => {
    throw new Error('overloaded');
  };
  expect(await burst(isolates(10, failing), 20)).toBe(10 * UNAIDED);
  const hanging: RequestLease = () => new Promise(() => {});
  const leases = isolates(10, hanging);
  expect(await burst(leases, 20)).toBe(10 * UNAIDED);
  expect(await burst(leases, 20)).toBe(0);
  vi.setSystemTime(Date.now() + WINDOW);
  expect(await burst(leases, 20)).toBe(10 * UNAIDED);
});

interface Step {
  gap: number;
  isolate: number;
  parallel: number;
}
interface Faults {
  delays: number[];
  failEvery: number;
}

test('any window admits at most the limit, the units outstanding at its start, and a tenth per isolate', async () => {
  const step = fc.record({
    gap: fc.integer({ min: 0, max: 1_500 }),
    isolate: fc.nat(4),
    parallel: fc.integer({ min: 1, max: 12 }),
  });
  const limiter = fc.record({
    delays: fc.array(fc.integer({ min: 0, max: 260 }), { minLength: 5, maxLength: 20 }),
    failEvery: fc.integer({ min: 2, max: 30 }),
  });
  const simulate = async (steps: Step[], faults: Faults) => {
    let calls = 0;
    const { lease, granted } = startLimiter(
      () => faults.delays[calls++ % faults.delays.length] ?? 0,
      () => calls % faults.failEvery === 0,
    );
    const leases = isolates(5, lease);
    const admitted: number[] = [];
    const pending: Promise<void>[] = [];
    for (const { gap, isolate, parallel } of steps) {
      await vi.advanceTimersByTimeAsync(gap);
      const now = Date.now();
      for (let one = 0; one < parallel; one++) {
        const decision = Promise.resolve(leases[isolate]?.take(ID, LIMIT, now, ctx));
        pending.push(decision.then((result) => void (result?.allowed && admitted.push(Date.now()))));
      }
    }
    await vi.advanceTimersByTimeAsync(2_000);
    await Promise.all(pending);
    for (const end of admitted) {
      const start = end - WINDOW;
      const outstanding = granted
        .filter(({ at }) => at <= start && at > start - leaseDurationMs(WINDOW) - 500)
        .reduce((sum, { units }) => sum + units, 0);
      const count = admitted.filter((at) => at > start && at <= end).length;
      expect(count).toBeLessThanOrEqual(LIMIT + outstanding + leases.length * UNAIDED);
    }
  };
  await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60 }), limiter, simulate), {
    seed: 7,
    numRuns: 60,
  });
});

test('isolates whose clocks differ by hours share one limit; a Limiter whose clock is set back grants no second one', async () => {
  let offset = 0;
  const ledger = newLeaseLedger();
  const lease: RequestLease = async (_, request) => grantLease(ledger, request, Date.now() + offset);
  const skews = [0, 3_600_000, -3_600_000, 86_400_000, -5_000];
  const leases = isolates(skews.length, lease);
  const burstOfAll = async (): Promise<number> => {
    const decisions = leases.flatMap((one, index) =>
      Array.from({ length: 20 }, async () => one.take(ID, LIMIT, Date.now() + (skews[index] ?? 0), ctx)),
    );
    await vi.advanceTimersByTimeAsync(500);
    return (await Promise.all(decisions)).filter(({ allowed }) => allowed).length;
  };
  expect(await burstOfAll()).toBe(LIMIT);
  for (offset of [-3_600_000, -86_400_000, -86_405_000]) {
    for (const one of leases) one.reset();
    expect(await burstOfAll(), String(offset)).toBe(0);
  }
  await vi.advanceTimersByTimeAsync(WINDOW * 2);
  expect(await burstOfAll()).toBe(LIMIT);
});

test.each<[string, unknown]>([
  ['null', null],
  ['no numbers', { units: Number.NaN, forMs: 'x', remaining: 0 }],
  ['negative units', { units: -5, forMs: 1_000, remaining: 9 }],
  ['fewer units than needed', { units: 3, forMs: 1_000, remaining: 9 }],
  ['a lease without end', { units: 20, forMs: 1e15, remaining: 9 }],
])('an unusable answer of the Limiter counts as no answer: %s', async (_, answer) => {
  let asked = 0;
  const leases = new LimitLeases(async () => {
    asked++;
    return answer as never;
  }, 'a');
  const id = leaseId(4);
  const allowed = async (): Promise<boolean> => {
    const decision = leases.take(id, LIMIT, Date.now(), ctx);
    await vi.advanceTimersByTimeAsync(200);
    return (await decision).allowed;
  };
  expect([await allowed(), await allowed(), await allowed()]).toEqual([true, false, false]);
  expect(asked).toBe(1);
});

test('parallel requests share one request to the Limiter', async () => {
  let asked = 0;
  const { lease } = startLimiter(() => 5);
  const leases = new LimitLeases((name, request) => {
    asked++;
    return lease(name, { ...request, limit: 1_000 });
  }, 'a');
  expect(await burst([leases], 20)).toBe(20);
  expect(asked).toBeLessThanOrEqual(2);
});

test('a failed request rests its key only', async () => {
  const asked: string[] = [];
  const { lease } = startLimiter(() => 0);
  const leases = new LimitLeases((name, request) => {
    asked.push(name.at(-1) ?? '');
    return name.endsWith('a') ? Promise.reject(new Error('overloaded')) : lease(name, request);
  }, 'i');
  const take = async (key: string): Promise<LimitDecision> => {
    const decision = leases.take(leaseId(1, key), LIMIT, Date.now(), ctx);
    await vi.advanceTimersByTimeAsync(10);
    return decision;
  };
  for (const key of ['a', 'b', 'a', 'c', 'a']) await take(key);
  expect(asked).toEqual(['a', 'b', 'c']);
  expect(await take('b')).toMatchObject({ allowed: true });
  await vi.advanceTimersByTimeAsync(1_000);
  await take('a');
  expect(asked.filter((key) => key === 'a')).toHaveLength(2);
});

test('a prefetch keeps the units in hand, whatever its answer', async () => {
  for (const answer of ['slow', 'denied', 'failed'] as const) {
    let asked = 0;
    const leases = new LimitLeases(async () => {
      if (asked++ === 0) return { units: 8, forMs: 1_000, remaining: 0 };
      if (answer === 'slow') await sleep(60_000);
      if (answer === 'failed') throw new Error('overloaded');
      return { units: 0, forMs: 5_000, remaining: 0 };
    }, 'a');
    const passed: boolean[] = [];
    for (let request = 0; request < 8; request++) {
      passed.push((await leases.take(ID, LIMIT, Date.now(), ctx)).allowed);
      await vi.advanceTimersByTimeAsync(1);
    }
    expect(asked).toBe(2);
    expect(passed).toEqual(Array(8).fill(true));
  }
});

test('an answer after the timeout is used', async () => {
  const { lease } = startLimiter(() => 100);
  const leases = new LimitLeases(lease, 'a');
  const first = leases.take(ID, LIMIT, Date.now(), ctx);
  await vi.advanceTimersByTimeAsync(210);
  expect(await first).toMatchObject({ allowed: true });
  // The first request went without the Limiter's units; these are in hand now.
  expect(leases.take(ID, LIMIT, Date.now(), ctx)).toMatchObject({ allowed: true });
});

test('a request to the Limiter that its client abandoned does not block later requests', async () => {
  let asked = 0;
  const leases = new LimitLeases(() => {
    asked++;
    return new Promise(() => {});
  }, 'a');
  // The first request is cancelled, and its timers with it.
  void leases.take(ID, LIMIT, Date.now(), ctx);
  vi.clearAllTimers();
  const second = leases.take(ID, LIMIT, Date.now() + 1, ctx);
  await vi.advanceTimersByTimeAsync(160);
  expect(await second).toMatchObject({ allowed: true });
  expect(asked).toBe(1);
  void leases.take(ID, LIMIT, Date.now() + 1_000, ctx);
  expect(asked).toBe(2);
});

test('a refund makes the units usable again; an expired lease gives none', async () => {
  const id = leaseId(4);
  const leases = new LimitLeases(async () => ({ units: 4, forMs: 1_000, remaining: 0 }), 'a');
  expect(await leases.take(id, LIMIT, Date.now(), ctx)).toMatchObject({ allowed: true });
  leases.refund(id);
  expect(leases.take(id, LIMIT, Date.now(), ctx)).toMatchObject({ allowed: true });
  leases.refund(id);
  expect(leases.take(id, LIMIT, Date.now() + 1_001, ctx)).toBeInstanceOf(Promise);
});

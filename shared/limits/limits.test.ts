import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Gcra } from './gcra.ts';
import { grantLease, leaseDurationMs, ledgerExpiresAt, newLeaseLedger } from './lease-ledger.ts';
import { compileRateLimit } from './policy.ts';
import { SlidingCounter } from './sliding-counter.ts';
import { SlidingLog } from './sliding-log.ts';

const WINDOW = 10_000;
const START = 1_700_000_000_000;
/** A seeded generator: the same cases in every run. */
const SEEDED = { seed: 7 };

const gaps = fc.array(fc.integer({ min: 0, max: 3_000 }), { minLength: 30, maxLength: 120 });

test('sliding log: admits at most 20 in any window of 10 s', () => {
  fc.assert(
    fc.property(gaps, (list) => {
      const limiter = new SlidingLog(20, WINDOW);
      const admitted: number[] = [];
      let now = START;
      for (const gap of list) {
        now += gap;
        const inWindow = admitted.filter((at) => at > now - WINDOW).length;
        const { allowed, remaining } = limiter.take('k', 20, 1, now);
        expect(allowed).toBe(inWindow < 20);
        if (allowed) admitted.push(now);
        expect(remaining).toBe(20 - Math.min(20, inWindow + 1));
      }
    }),
    SEEDED,
  );
});

test('sliding log: resetMs is exact, and a denied request does not count', () => {
  const limiter = new SlidingLog(3, WINDOW);
  for (const at of [0, 1_000, 2_000]) limiter.take('k', 3, 1, START + at);
  const denied = limiter.take('k', 3, 1, START + 3_000);
  expect(denied).toEqual({ allowed: false, remaining: 0, resetMs: 7_000 });
  expect(limiter.take('k', 3, 1, START + 9_999).allowed).toBe(false);
  expect(limiter.take('k', 3, 1, START + 10_000).allowed).toBe(true);
  expect(limiter.take('k', 3, 2, START + 10_500)).toMatchObject({ allowed: false, resetMs: 1_500 });
});

test('sliding log: a refund restores the previous state', () => {
  const limiter = new SlidingLog(2, WINDOW);
  limiter.take('k', 2, 2, START);
  limiter.refund('k', 2, 2);
  expect(limiter.take('k', 2, 2, START).allowed).toBe(true);
});

test('memory is bounded under many keys; busy keys are kept', () => {
  const limiter = new SlidingLog(20, WINDOW, 1_000);
  for (let i = 0; i < 20; i++) limiter.take('busy', 20, 1, START);
  for (let i = 0; i < 5_000; i++) limiter.take(`stranger-${i}`, 20, 1, START + 1);
  expect(limiter.take('busy', 20, 1, START + 2).allowed).toBe(false);
});

/** Units that a limiter admitted, with their times. */
interface Admitted {
  at: number;
  cost: number;
}
const unitsWithin = (admitted: readonly Admitted[], from: number, to: number): number =>
  admitted.reduce((sum, { at, cost }) => sum + (at > from && at <= to ? cost : 0), 0);

test('sliding counter: a full burst at the end of a window leaves nothing for the next one', () => {
  const limiter = new SlidingCounter(WINDOW);
  const take = (now: number) => limiter.take('k', 1_000, 1, now).allowed;
  const end = START - (START % WINDOW) + WINDOW;
  let admitted = 0;
  for (let now = end - 100; now < end + WINDOW - 101; now++) {
    for (let burst = 0; burst < 20; burst++) if (take(now)) admitted++;
  }
  expect(admitted).toBe(1_000);
});

test('sliding counter: any window admits at most the limit; denies only when 33/32 of a window hold it', () => {
  const steps = fc.array(fc.tuple(fc.integer({ min: 0, max: 9_000 }), fc.integer({ min: 1, max: 9 })), {
    minLength: 50,
    maxLength: 250,
  });
  const windows = fc.constantFrom(7, 1_000, WINDOW, 60_000, 86_400_000);
  fc.assert(
    fc.property(steps, windows, fc.integer({ min: 9, max: 60 }), (list, window, limit) => {
      const limiter = new SlidingCounter(window);
      const admitted: Admitted[] = [];
      let now = START;
      for (const [gap, cost] of list) {
        now += Math.floor((gap ** 2 / 81_000_000) * window * 0.3);
        const decision = limiter.take('k', limit, cost, now);
        if (decision.allowed) {
          admitted.push({ at: now, cost });
          expect(unitsWithin(admitted, now - window, now)).toBeLessThanOrEqual(limit);
        } else {
          expect(unitsWithin(admitted, now - window - window / 32 - 1, now) + cost).toBeGreaterThan(limit);
          now += decision.resetMs;
          expect(limiter.take('k', limit, cost, now).allowed).toBe(true);
          admitted.push({ at: now, cost });
        }
      }
    }),
    { ...SEEDED, numRuns: 200 },
  );
});

test('sliding counter: the same bounds for millions of units, costs up to a third of the limit, and 30 days', () => {
  const share = fc.double({ min: 0, max: 1, noNaN: true });
  const steps = fc.array(fc.tuple(share, share), { minLength: 30, maxLength: 150 });
  const windows = fc.constantFrom(1, 1_000, 30 * 86_400_000);
  const limits = fc.integer({ min: 1_000_000, max: 1_000_000_000 });
  fc.assert(
    fc.property(steps, windows, limits, (list, window, limit) => {
      const limiter = new SlidingCounter(window);
      const admitted: Admitted[] = [];
      let now = START;
      for (const [gap, part] of list) {
        now += Math.floor(gap ** 3 * window * 0.5);
        const cost = Math.ceil(part * Math.min(limit / 3, 1_000_000));
        const decision = limiter.take('k', limit, cost, now);
        if (!decision.allowed) {
          const held = unitsWithin(admitted, now - window - window / 32 - 1, now);
          expect(held + cost).toBeGreaterThan(limit);
          now += decision.resetMs;
          expect(limiter.take('k', limit, cost, now).allowed).toBe(true);
        }
        admitted.push({ at: now, cost });
        expect(unitsWithin(admitted, now - window, now)).toBeLessThanOrEqual(limit);
      }
    }),
    SEEDED,
  );
});

test('sliding log: costs, refunds, remaining and reset are exact, up to its largest limit and window', () => {
  const steps = fc.array(
    fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.integer({ min: 1, max: 256 }), fc.boolean()),
    { minLength: 30, maxLength: 120 },
  );
  const windows = fc.constantFrom(1, 1_000, SlidingLog.MAX_WINDOW_MS);
  fc.assert(
    fc.property(steps, windows, fc.integer({ min: 1, max: SlidingLog.MAX_LIMIT }), (list, window, limit) => {
      const limiter = new SlidingLog(limit, window);
      const admitted: Admitted[] = [];
      const fits = (cost: number, at: number) => unitsWithin(admitted, at - window, at) + cost <= limit;
      let now = START;
      for (const [gap, wanted, isRefunded] of list) {
        now += Math.floor(gap ** 3 * window * 0.5);
        const cost = Math.min(wanted, limit);
        const left = limit - unitsWithin(admitted, now - window, now);
        const { allowed, remaining, resetMs } = limiter.take('k', limit, cost, now);
        expect({ allowed, remaining }).toEqual({
          allowed: cost <= left,
          remaining: cost <= left ? left - cost : left,
        });
        if (!allowed) {
          expect(fits(cost, now + resetMs)).toBe(true);
          expect(fits(cost, now + resetMs - 1)).toBe(false);
        } else if (isRefunded) limiter.refund('k', limit, cost);
        else admitted.push({ at: now, cost });
      }
    }),
    SEEDED,
  );
});

test('sliding counter: a steady client gets at least 32/33 of the limit', () => {
  const limiter = new SlidingCounter(WINDOW);
  let admitted = 0;
  for (let now = START; now < START + WINDOW * 33; now += 5) {
    if (limiter.take('k', 1_000, 1, now).allowed) admitted++;
  }
  expect(admitted).toBeGreaterThanOrEqual(32 * 1_000);
  limiter.refund('k', 1_000, 1);
  expect(limiter.take('other', 1_000, 1_000, START).remaining).toBe(0);
});

/** GCRA in rational numbers: times are multiples of 1 / limit microseconds. */
class ExactGcra {
  readonly #limit: number;
  readonly #window: number;
  readonly #burst: number;
  #arrival = 0n;

  constructor(limit: number, window: number, burst: number) {
    this.#limit = limit;
    this.#window = window;
    this.#burst = burst;
  }

  take(cost: number, now: number): boolean {
    const interval = BigInt(this.#window) * 1_000n;
    const at = BigInt(now) * 1_000n * BigInt(this.#limit);
    const next = (this.#arrival > at ? this.#arrival : at) + BigInt(cost) * interval;
    if (at < next - BigInt(this.#burst) * interval) return false;
    this.#arrival = next;
    return true;
  }
}

test('GCRA: decides at epoch scale as in exact arithmetic, for every limit', () => {
  const limits = fc.oneof(fc.integer({ min: 1, max: 5_000 }), fc.integer({ min: 1, max: 1_000_000_000 }));
  const bursts = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 1_000_000_000 }));
  const windows = fc.constantFrom(1, 7, 1_000, WINDOW, 3_600_000, 864_000_000);
  const gapsOf = fc.array(
    fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.integer({ min: 1, max: 3 })),
    {
      minLength: 40,
      maxLength: 120,
    },
  );
  fc.assert(
    fc.property(limits, bursts, windows, gapsOf, (limit, burst, window, list) => {
      const limiter = new Gcra(window, burst);
      const exact = new ExactGcra(limit, window, burst);
      let now = START;
      for (const [gap, cost] of list) {
        if (cost > burst) continue;
        now += Math.floor(((gap * window) / limit) * 4);
        const decision = limiter.take('k', limit, cost, now);
        expect(decision.allowed).toBe(exact.take(cost, now));
        if (decision.allowed) continue;
        // The reset is exact too: a whole millisecond after it the request passes.
        now += Math.ceil(decision.resetMs);
        expect(limiter.take('k', limit, cost, now).allowed).toBe(true);
        expect(exact.take(cost, now)).toBe(true);
      }
    }),
    { ...SEEDED, numRuns: 300 },
  );
});

test('GCRA: `remaining` units can be taken, and not one more', () => {
  const cases = fc.tuple(fc.integer({ min: 1, max: 3_000 }), fc.integer({ min: 1, max: 50 }), fc.nat(2_000));
  fc.assert(
    fc.property(cases, ([limit, burst, later]) => {
      const limiter = new Gcra(WINDOW, burst);
      for (let used = 0; used < burst; used++) limiter.take('k', limit, 1, START);
      const { allowed, remaining } = limiter.take('k', limit, 1, START + later);
      for (let left = allowed ? remaining : 0; left > 0; left--) {
        expect(limiter.take('k', limit, 1, START + later).allowed).toBe(true);
      }
      expect(limiter.take('k', limit, 1, START + later).allowed).toBe(false);
    }),
    { ...SEEDED, numRuns: 200 },
  );
});

test('GCRA: a burst at once, then an even rate', () => {
  const limiter = new Gcra(WINDOW, 5);
  const burst = Array.from({ length: 7 }, () => limiter.take('k', 10, 1, START).allowed);
  expect(burst).toEqual([true, true, true, true, true, false, false]);
  expect(limiter.take('k', 10, 1, START)).toMatchObject({ allowed: false, resetMs: 1_000 });
  expect(limiter.take('k', 10, 1, START + 1_000)).toMatchObject({ allowed: true, remaining: 0 });
  limiter.refund('k', 10, 1, START + 1_000);
  expect(limiter.take('k', 10, 1, START + 1_000).allowed).toBe(true);
});

describe('leases', () => {
  const ask = (book: ReturnType<typeof newLeaseLedger>, isolate: string, now: number, part = {}) =>
    grantLease(book, { isolate, limit: 100, windowMs: WINDOW, need: 1, want: 100, ...part }, now);

  test('leases at most the limit per window, to any number of isolates', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(9), fc.nat(300)), { minLength: 50, maxLength: 300 }), (calls) => {
        const book = newLeaseLedger();
        const granted: { at: number; units: number }[] = [];
        let now = START;
        for (const [isolate, gap] of calls) {
          now += gap;
          const { units } = ask(book, `i${isolate}`, now);
          granted.push({ at: now, units });
          const inWindow = granted.filter(({ at }) => at > now - WINDOW);
          expect(inWindow.reduce((sum, one) => sum + one.units, 0)).toBeLessThanOrEqual(100);
        }
      }),
      { ...SEEDED, numRuns: 40 },
    );
  });

  test('the first isolate does not get all units', () => {
    const book = newLeaseLedger();
    const first = ask(book, 'a', START);
    expect(first.units).toBe(50);
    expect(ask(book, 'b', START).units).toBe(12);
  });

  test('a denied lease states when a retry can succeed', () => {
    const book = newLeaseLedger();
    let last = ask(book, 'a', START);
    while (last.units > 0) last = ask(book, 'a', START);
    expect(last.forMs).toBeGreaterThan(WINDOW * 0.9);
    expect(ask(book, 'a', START + last.forMs).units).toBeGreaterThan(0);
    expect(leaseDurationMs(WINDOW)).toBe(1_000);
  });
});

test('policies: keys, overrides, exemptions, routes', () => {
  const request = {
    path: '/a/b',
    clientKey: '10.0.0.1',
    header: (name: string) => (name === 'x-key' ? 'k1' : null),
    sessionKey: () => 's',
  };
  const base = { name: 'p', limit: 5, window: 10_000, scope: 'edge' as const };
  expect(compileRateLimit({ ...base, key: ['ip', 'header:x-key'] }).keyOf(request)).toBe('10.0.0.1|k1');
  expect(compileRateLimit({ ...base, key: 'header:none' }).keyOf(request)).toBe('');
  expect(compileRateLimit({ ...base, key: 'global' }).keyOf(request)).toBe('*');
  const partner = compileRateLimit({ ...base, key: 'header:x-key', overrides: { k1: 50 } });
  expect([partner.limitOf('k1'), partner.limitOf('k2'), partner.maxLimit]).toEqual([50, 5, 50]);
  expect(compileRateLimit({ ...base, key: 'ip', exempt: ['10.0.0.0/8'] }).isExempt?.('10.9.9.9')).toBe(true);
  expect(compileRateLimit({ ...base, key: 'ip', routes: ['/a'] }).appliesTo('/ab')).toBe(false);
  const [own, shared] = [
    compileRateLimit({ ...base, key: 'ip' }),
    compileRateLimit({ ...base, key: 'ip', shared: true }),
  ];
  expect(own.counterNamespace('gs')).not.toBe(own.counterNamespace('pgc'));
  expect(shared.counterNamespace('gs')).toBe(shared.counterNamespace('pgc'));
});

test('sliding log: limits for years, also across a rebase of its epoch', () => {
  const limiter = new SlidingLog(3, WINDOW);
  const day = 86_400_000;
  const admitted = (at: number) =>
    [0, 1, 2, 3].filter((offset) => limiter.take('k', 3, 1, at + offset).allowed).length;
  for (let days = 0; days < 400; days += 7) expect(admitted(START + days * day)).toBe(3);
  for (let back = 0; back < 4; back++) {
    const fresh = new SlidingLog(1, WINDOW);
    fresh.take('k', 1, 1, START);
    const late = START + 30 * day - 1 - back * 3_000;
    expect(fresh.take('other', 1, 1, late).allowed).toBe(true);
    expect(fresh.take('other', 1, 1, late + WINDOW - 1).allowed).toBe(false);
    expect(fresh.take('other', 1, 1, late + WINDOW).allowed).toBe(true);
  }
});

test('an override applies only to a configured key value', () => {
  const base = { name: 'plan', key: 'header:x-plan', limit: 2, window: WINDOW, scope: 'edge' } as const;
  const { limitOf } = compileRateLimit({ ...base, overrides: { gold: 50 } });
  expect(['gold', 'lead', 'constructor', '__proto__', 'toString'].map(limitOf)).toEqual([50, 2, 2, 2, 2]);
});

test('a limit for routes holds for every spelling of the path', () => {
  const base = { name: 'login', key: 'ip', limit: 2, window: WINDOW, scope: 'edge' } as const;
  const { appliesTo } = compileRateLimit({ ...base, routes: ['/login'] });
  const paths = ['/login', '/log%69n', '//login', '/a/../login/x', '/login;v=1', '/loginx', '/other'];
  expect(paths.filter(appliesTo)).toEqual(paths.slice(0, 5));
});

test('the ledger of a long window is kept while its leases count', () => {
  const book = newLeaseLedger();
  const hour = 3_600_000;
  grantLease(book, { isolate: 'a', limit: 10, windowMs: hour, need: 1, want: 1 }, START);
  expect(ledgerExpiresAt(book, hour)).toBeGreaterThan(START + hour);
});

import { expect, test } from 'vitest';
import { newIsolateState } from '../shared/balance/candidate.ts';
import { isEjected, recordFailure } from '../shared/ejection.ts';
import { recordLatency } from '../shared/latency.ts';
import { grantLease, newLeaseLedger } from '../shared/limits/lease-ledger.ts';
import { compileRateLimit } from '../shared/limits/policy.ts';
import type { SnapshotRateLimit } from '../shared/snapshot/snapshot.ts';
import type { ServiceView } from '../shared/view.ts';
import { ClockGuard } from './clock-guard.ts';
import { FallbackLimit } from './fallback-limit.ts';
import { Gateways } from './gateways.ts';
import { LimitLeases } from './io/limit-leases.ts';
import { Limiters } from './io/limiters.ts';

const START = 1_800_000_000_000;
const HOUR = 3_600_000;

const policy = (name: string, part: Partial<SnapshotRateLimit> = {}) =>
  compileRateLimit({ name, key: 'global', limit: 10, window: 10_000, scope: 'edge', ...part });

/** A sliding log, a sliding counter, and GCRA. */
const POLICIES = [policy('log'), policy('counter', { limit: 1_000 }), policy('burst', { burst: 10 })];

test('setting the clock back an hour resets limits, ejections and gateways', async () => {
  const limiters = new Limiters(() => null);
  const ledger = newLeaseLedger();
  let now = START;
  const leases = new LimitLeases(async (_, request) => grantLease(ledger, request, now), 'isolate');
  const gateways = new Gateways();
  const local = newIsolateState();
  const services = new Map([['gs', { candidates: [{ local }] } as unknown as ServiceView]]);
  const fallbackLimit = new FallbackLimit(null);
  const dependents = { limiters, fallbackLimit, leases, gateways, snapshots: { view: { services } } };
  const clock = new ClockGuard();
  const global = policy('everywhere', { scope: 'global' });

  const taken = async (): Promise<number[]> => {
    clock.observe(now, dependents);
    const counts = POLICIES.map((one) => {
      let passed = 0;
      while (limiters.forPolicy('gs', one).take('*', one.limit, 1, now).allowed) passed++;
      return passed;
    });
    let leased = 0;
    let pending: Promise<unknown> = Promise.resolve();
    const ctx = {
      waitUntil: (work: Promise<unknown>) => {
        pending = work;
      },
    };
    for (;;) {
      const decision = await leases.take({ service: 'gs', policy: global, key: '*' }, 10, now, ctx);
      await pending;
      if (!decision.allowed) return [...counts, leased];
      leased++;
    }
  };
  expect(await taken()).toEqual([10, 1_000, 10, 10]);
  for (let i = 0; i < 5; i++) {
    gateways.onFailure('http://g', now);
    recordFailure(local.ejection, now, () => ({ serving: 2, ejected: 0, includesInstance: true }));
  }
  recordLatency(local.latency, 5, now);
  expect([gateways.isInUse('http://g', now), isEjected(local.ejection, now)]).toEqual([false, true]);
  // Half a second back is tolerated: the limits stay used up.
  now = START - 500;
  expect(await taken()).toEqual([0, 0, 0, 0]);

  now = START - HOUR;
  // The units of a global limit are counted outside the isolate, where the clock gives no second limit.
  expect(await taken()).toEqual([10, 1_000, 10, 0]);
  expect([gateways.isInUse('http://g', now), isEjected(local.ejection, now)]).toEqual([true, false]);
  recordLatency(local.latency, 3, now);
  expect(local.latency.estimate).toBe(3);
});

import { expect, test } from 'vitest';
import { grantLease, newLeaseLedger } from '../../shared/limits/lease-ledger.ts';
import { compileRateLimit } from '../../shared/limits/policy.ts';
import { LimitLeases } from './limit-leases.ts';

const WINDOW = 10_000;
const START = 1_700_000_000_000;
const policy = compileRateLimit({
  name: 'all',
  key: 'global',
  limit: 80,
  cost: 4,
  window: WINDOW,
  scope: 'global',
});
const ID = { service: 's', policy, key: '*' };
const ctx = { waitUntil: (): void => {} };

test('a lease request that its client abandoned does not block later requests', () => {
  let requests = 0;
  const leases = new LimitLeases(() => {
    requests++;
    return new Promise(() => {});
  }, 'a');
  // The first request is gone, and its timers with it.
  void leases.prepare(ID, 80, START, ctx);
  expect(leases.prepare(ID, 80, START + 1, ctx)).toBeNull();
  void leases.prepare(ID, 80, START + 1_000, ctx);
  expect(requests).toBe(2);
});

test('units of an expired lease are not returned: the ledger would take them from other leases', async () => {
  const ledger = newLeaseLedger();
  let now = START;
  const isolate = (name: string): LimitLeases =>
    new LimitLeases(async (_, request) => grantLease(ledger, request, now), name);
  const first = isolate('first');
  // Leases four units and uses none.
  await first.prepare(ID, 80, now, ctx);
  now += 2 * WINDOW;
  // Another isolate uses the whole limit.
  expect(
    grantLease(ledger, { isolate: 'other', limit: 80, windowMs: WINDOW, need: 80, want: 80, unused: 0 }, now),
  ).toMatchObject({ units: 80 });
  await first.prepare(ID, 80, now, ctx);
  expect(first.take(ID, now)).toMatchObject({ allowed: false });
});

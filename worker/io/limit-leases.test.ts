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
const ctx = { waitUntil: (): void => {} };

test('an ask whose request was ended by its client does not keep the limit from being asked again', () => {
  let asked = 0;
  const leases = new LimitLeases(() => {
    asked++;
    return new Promise(() => {});
  }, 'a');
  // Nobody waits for the first: its request is gone, and so are its timers.
  void leases.prepare('s', policy, '*', 80, START, ctx);
  expect(leases.prepare('s', policy, '*', 80, START + 1, ctx)).toBeNull();
  void leases.prepare('s', policy, '*', 80, START + 1_000, ctx);
  expect(asked).toBe(2);
});

test('units of a lease that has run out are not handed back: the book would take them from what others have leased', async () => {
  const book = newLeaseLedger();
  let now = START;
  const isolate = (name: string): LimitLeases =>
    new LimitLeases(async (_, request) => grantLease(book, request, now), name);
  const first = isolate('first');
  // Four at a time, of which none is used.
  await first.prepare('s', policy, '*', 80, now, ctx);
  now += 2 * WINDOW;
  // Another isolate uses the whole limit.
  expect(
    grantLease(book, { isolate: 'other', limit: 80, windowMs: WINDOW, need: 80, want: 80, unused: 0 }, now),
  ).toMatchObject({ units: 80 });
  await first.prepare('s', policy, '*', 80, now, ctx);
  expect(first.take('s', policy, '*', now)).toMatchObject({ allowed: false });
});

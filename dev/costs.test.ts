import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { costsPage, dailyUse, freePlanLacks, monthlyBill, TRAFFIC } from './costs.ts';

const quiet = TRAFFIC[0] ?? expect.unreachable();
const busy = TRAFFIC[1] ?? expect.unreachable();

test('docs/costs.md is current (regenerate it with `node dev/costs.ts`)', () => {
  expect(readFileSync(new URL('../docs/costs.md', import.meta.url), 'utf8')).toBe(costsPage());
});

test('a busy location polls at most a seventh as often as every 2 s', () => {
  const polls = (sites: number) =>
    dailyUse(sites, 2, busy)['Hub requests'] - dailyUse(sites, 1, busy)['Hub requests'];
  expect(polls(1)).toBeLessThan(43_200 / 7);
  // One poll covers all sites; only their more frequent changes add polls.
  expect(polls(100)).toBeLessThan(43_200);
});

test('one quiet site in 30 locations fits the free plan, and costs the base fee on the paid one', () => {
  const use = dailyUse(1, 30, quiet);
  expect(freePlanLacks(use)).toBeNull();
  expect(Math.round(monthlyBill(use).total)).toBe(5);
});

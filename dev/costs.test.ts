import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { costsPage, monthlyBill, monthlyUse, TRAFFIC } from './costs.ts';

const [quiet, busy] = TRAFFIC;

test('docs/costs.md is current (regenerate it with `node dev/costs.ts`)', () => {
  expect(readFileSync(new URL('../docs/costs.md', import.meta.url), 'utf8')).toBe(costsPage());
});

test('a busy location polls each site 43,200 times a day: three fill the free plan', () => {
  const perDay = (colos: number) => monthlyUse(1, colos, busy ?? expect.unreachable())['Hub requests'] / 30;
  expect(perDay(1)).toBe(43_200);
  expect(perDay(3)).toBeGreaterThan(100_000);
});

test('one quiet site in one location costs the base fee', () => {
  expect(monthlyBill(monthlyUse(1, 1, quiet ?? expect.unreachable()))).toEqual({ total: 5, snapshots: 0 });
});

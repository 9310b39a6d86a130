import { expect, test } from 'vitest';
import { createCommandBackoff } from './command-backoff.ts';

test('an order that is taken back again and again is given ever more seldom, another one at once', () => {
  let now = 0;
  const patience = createCommandBackoff(() => now);
  const given: number[] = [];
  for (; now < 300_000; now += 1_000) if (patience.allow('agent down')) given.push(now / 1_000);
  expect(given).toEqual([0, 1, 3, 7, 15, 31, 63, 123, 183, 243]);
  expect(patience.allow('agent up')).toBe(true);
});

test('what is ordered now and then, or of a new worker, does not wait', () => {
  let now = 0;
  const patience = createCommandBackoff(() => now);
  for (; now < 300_000; now += 10_000) expect(patience.allow('agent down')).toBe(true);
  expect(patience.allow('agent down')).toBe(true);
  expect(patience.allow('agent down')).toBe(false);
  patience.reset();
  expect(patience.allow('agent down')).toBe(true);
});

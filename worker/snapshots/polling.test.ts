import { expect, test } from 'vitest';
import { pollIntervalMs } from './polling.ts';

const interval = (changeAgeMs: number, part: { hasDirectService?: boolean; random?: number } = {}): number =>
  pollIntervalMs({ changeAgeMs, hasDirectService: false, random: 0, ...part });

test('polls every 2 s after a change; the longer nothing changes, the longer the interval, up to 30 s', () => {
  expect([0, 10_000, 40_000, 160_000, 240_000, 86_400_000].map((age) => interval(age))).toEqual([
    2_000, 2_000, 5_000, 20_000, 30_000, 30_000,
  ]);
});

test('the interval stays within its bounds when the clock of an agent is ahead or behind', () => {
  expect(interval(-3_600_000)).toBe(2_000);
  expect(interval(Number.MAX_SAFE_INTEGER)).toBe(30_000);
});

test('an edge that picks instances itself polls at least every 10 s', () => {
  expect(interval(86_400_000, { hasDirectService: true })).toBe(10_000);
});

test('jitter shortens an interval by up to a fifth, never below 2 s', () => {
  expect(interval(86_400_000, { random: 1 })).toBeCloseTo(24_000);
  expect(interval(0, { random: 1 })).toBe(2_000);
});

import { expect, test } from 'vitest';
import { mediansOfOthers, nextLatencyShare } from './latency-weight.ts';

const FLOOR = 0.05;
const settle = (ownMs: number, peersMs: number, share = 1): number => {
  let next = share;
  for (let second = 0; second < 20; second++) next = nextLatencyShare(next, ownMs, peersMs, FLOOR);
  return next;
};

test('settles in inverse proportion to the latency, not below the floor', () => {
  expect(settle(80, 20)).toBeCloseTo(0.25);
  // The tolerance ends it one step early.
  expect(settle(5_000, 5)).toBe(0.0625);
  expect(settle(20, 80)).toBe(1);
});

test('moves by a factor of two a step, and back', () => {
  expect(nextLatencyShare(1, 1_000, 5, FLOOR)).toBe(0.5);
  expect(nextLatencyShare(0.1, 5, 5, FLOOR)).toBe(0.2);
  expect(settle(5, 5, FLOOR)).toBe(1);
});

test('small differences, small changes and missing numbers change nothing', () => {
  expect(settle(9, 5)).toBe(1);
  expect(nextLatencyShare(0.5, 110, 50, FLOOR)).toBe(0.5);
  expect(nextLatencyShare(0.3, null, 50, FLOOR)).toBe(0.3);
  expect(nextLatencyShare(0.3, 50, null, FLOOR)).toBe(0.3);
});

test('the median of the others leaves out one’s own value', () => {
  expect(mediansOfOthers([800, 5, 6])).toEqual([5, 6, 5]);
  expect(mediansOfOthers([1, 2, 3, 4, 100])).toEqual([3, 3, 2, 2, 2]);
  expect(mediansOfOthers([7])).toEqual([null]);
  expect(mediansOfOthers([7, null])).toEqual([null, 7]);
  expect(mediansOfOthers([5, 5, 5])).toEqual([5, 5, 5]);
});

test('the median of the others equals a naive computation', () => {
  for (let size = 2; size < 12; size++) {
    const values = Array.from({ length: size }, (_, index) => (index * 7_919) % 13);
    const plain = values.map((_, own) => {
      const others = values.filter((__, index) => index !== own).sort((a, b) => a - b);
      return others[Math.floor((others.length - 1) / 2)];
    });
    expect(mediansOfOthers(values)).toEqual(plain);
  }
});

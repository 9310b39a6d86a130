import { expect, test } from 'vitest';
import { EJECTION, isEjected, newEjection, recordFailure, recordSuccess } from './ejection.ts';

const fail = (
  ejection: ReturnType<typeof newEjection>,
  times: number,
  now: number,
  [total, inRotation] = [4, 4],
) => {
  let ejected = false;
  for (let i = 0; i < times; i++) ejected = recordFailure(ejection, now, total, inRotation);
  return ejected;
};

test('the fifth consecutive failure ejects; a success resets the count', () => {
  const ejection = newEjection();
  fail(ejection, 4, 0);
  recordSuccess(ejection, 0);
  expect(fail(ejection, 4, 1)).toBe(false);
  expect(fail(ejection, 1, 1)).toBe(true);
  expect(isEjected(ejection, 30_000)).toBe(true);
  expect(isEjected(ejection, 30_001)).toBe(false);
});

test('the ejection time grows up to its maximum; healthy intervals reduce it', () => {
  const ejection = newEjection();
  let now = 0;
  for (let round = 1; round <= 12; round++) {
    fail(ejection, 5, now);
    expect(ejection.ejectedUntil - now).toBe(Math.min(round * EJECTION.baseMs, EJECTION.maxMs));
    now = ejection.ejectedUntil + 1;
  }
  recordSuccess(ejection, ejection.ejectedUntil + 3 * EJECTION.forgiveMs);
  expect(ejection.ejectionCount).toBe(9);
});

test('never ejects the last instance, and at most half', () => {
  expect(fail(newEjection(), 9, 0, [1, 1])).toBe(false);
  expect(fail(newEjection(), 5, 0, [2, 2])).toBe(true);
  expect(fail(newEjection(), 5, 0, [2, 1])).toBe(false);
  expect(fail(newEjection(), 5, 0, [4, 2])).toBe(false);
});

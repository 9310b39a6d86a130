import { expect, test } from 'vitest';
import {
  EJECTION,
  type Ejection,
  isEjected,
  newEjection,
  recordFailure,
  recordSuccess,
  type ServingCount,
} from './ejection.ts';

const { baseMs, maxMs, forgiveMs } = EJECTION;

const serving = (count: number, ejected = 0): ServingCount => ({
  serving: count,
  ejected,
  includesInstance: true,
});

/** Fails `times` times at `now`. Returns whether the instance is ejected then. */
function fail(ejection: Ejection, times: number, now: number, count = serving(4)): boolean {
  for (let i = 0; i < times; i++) recordFailure(ejection, now, () => count);
  return isEjected(ejection, now);
}

test('the fifth consecutive failure ejects; a success resets the count', () => {
  const ejection = newEjection();
  fail(ejection, 4, 0);
  recordSuccess(ejection);
  expect(fail(ejection, 4, 1)).toBe(false);
  expect(fail(ejection, 1, 1)).toBe(true);
  expect(isEjected(ejection, baseMs)).toBe(true);
  expect(isEjected(ejection, baseMs + 1)).toBe(false);
});

test('failures that arrive while ejected are not counted; on return the count starts at 0', () => {
  const ejection = newEjection();
  fail(ejection, 5, 0);
  fail(ejection, 100, 1_000);
  expect(ejection).toEqual({ consecutiveFailures: 0, ejectedUntil: baseMs, ejectionCount: 1 });
  expect(fail(ejection, 4, baseMs)).toBe(false);
  expect(fail(ejection, 1, baseMs)).toBe(true);
});

test('each ejection lasts 30 s longer, up to 300 s', () => {
  const ejection = newEjection();
  let now = 0;
  for (let round = 1; round <= 12; round++) {
    fail(ejection, 5, now);
    expect(ejection.ejectedUntil - now).toBe(Math.min(round * baseMs, maxMs));
    now = ejection.ejectedUntil;
  }
});

test('the ejection time shrinks by one step per interval, idle time included', () => {
  const ejection = newEjection();
  for (let round = 0; round < 4; round++) fail(ejection, 5, ejection.ejectedUntil);
  // No request in between: 4 − 2 + 1.
  let now = ejection.ejectedUntil + 2 * forgiveMs + 1;
  fail(ejection, 5, now);
  expect(ejection.ejectedUntil - now).toBe(3 * baseMs);
  now = ejection.ejectedUntil + 100 * forgiveMs;
  fail(ejection, 5, now);
  expect(ejection.ejectedUntil - now).toBe(baseMs);
});

test('at most half of the serving instances are ejected, and never the last one', () => {
  expect(fail(newEjection(), 9, 0, serving(1))).toBe(false);
  expect(fail(newEjection(), 5, 0, serving(2))).toBe(true);
  expect(fail(newEjection(), 9, 0, serving(2, 1))).toBe(false);
  expect(fail(newEjection(), 9, 0, serving(3, 1))).toBe(false);
  expect(fail(newEjection(), 5, 0, serving(4, 1))).toBe(true);
  expect(fail(newEjection(), 9, 0, serving(4, 2))).toBe(false);
});

test('an instance that is not serving is ejected only while another one can take its requests', () => {
  const draining = { includesInstance: false };
  expect(fail(newEjection(), 5, 0, { ...serving(1), ...draining })).toBe(true);
  expect(fail(newEjection(), 9, 0, { ...serving(1, 1), ...draining })).toBe(false);
  expect(fail(newEjection(), 9, 0, { ...serving(0), ...draining })).toBe(false);
});

test('an instance that could not be ejected is ejected by its next failure once others serve', () => {
  const ejection = newEjection();
  expect(fail(ejection, 20, 0, serving(1))).toBe(false);
  expect(fail(ejection, 1, 0, serving(2))).toBe(true);
});

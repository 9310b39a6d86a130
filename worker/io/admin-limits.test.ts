import { expect, test } from 'vitest';
import { AdminLimits } from './admin-limits.ts';

const T = 1_700_000_000_000;

test('a client sends a burst of 200 requests and then 50 a second; other clients are not affected', () => {
  const limits = new AdminLimits();
  const admitted = (client: string, count: number, now: number) =>
    Array.from({ length: count }, () => limits.takeRequest(client, now)).filter((wait) => wait === 0).length;
  expect(admitted('192.0.2.1', 1_000, T)).toBe(200);
  expect(limits.takeRequest('192.0.2.1', T)).toBeGreaterThanOrEqual(1);
  expect(admitted('192.0.2.2', 10, T)).toBe(10);
  expect(admitted('192.0.2.1', 1_000, T + 1_000)).toBe(50);
});

test('twenty wrong credentials block a client until the minute is over, or the clock is set back', () => {
  const limits = new AdminLimits();
  for (let n = 0; n < 19; n++) limits.recordFailure('a', T + n * 1_000);
  expect(limits.credentialWait('a', T + 19_000)).toBe(0);
  limits.recordFailure('a', T + 19_000);
  expect(limits.credentialWait('a', T + 20_000)).toBe(40);
  expect(limits.credentialWait('b', T + 20_000)).toBe(0);
  expect(limits.credentialWait('a', T + 60_000)).toBe(0);
  expect(limits.credentialWait('a', T - 1)).toBe(0);
});

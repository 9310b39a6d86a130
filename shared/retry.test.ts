import { expect, test } from 'vitest';
import { type AttemptResult, classifyAttempt, isIdempotent } from './retry.ts';
import { RetryBudget } from './retry-budget.ts';

const response = (
  status: number,
  via: 'gateway' | 'direct' = 'gateway',
  unsentMark = false,
): AttemptResult => ({
  kind: 'response',
  status,
  via,
  unsentMark,
});

test.each<[AttemptResult, string]>([
  [response(200), 'final'],
  [response(404), 'final'],
  [response(429), 'final'],
  [response(500), 'final'],
  [response(501), 'final'],
  [response(521), 'unsent'],
  [response(523), 'unsent'],
  [response(525), 'unsent'],
  [response(526), 'unsent'],
  [response(503, 'gateway', true), 'unsent'],
  [response(503, 'direct', true), 'ambiguous'],
  [response(401, 'gateway', true), 'unsent'],
  [response(401, 'direct', true), 'final'],
  [response(401), 'final'],
  [response(503), 'ambiguous'],
  [response(502), 'ambiguous'],
  [response(504), 'ambiguous'],
  [response(520), 'ambiguous'],
  [response(522), 'ambiguous'],
  [response(524), 'ambiguous'],
  [{ kind: 'thrown', message: 'Network connection lost.' }, 'ambiguous'],
  [{ kind: 'timeout' }, 'ambiguous'],
])('%o is %s', (result, reach) => {
  expect(classifyAttempt(result)).toBe(reach);
});

test('idempotent methods', () => {
  for (const method of ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'])
    expect(isIdempotent(method, false)).toBe(true);
  for (const method of ['POST', 'PATCH', 'CONNECT', 'get']) expect(isIdempotent(method, false)).toBe(false);
  expect(isIdempotent('POST', true)).toBe(true);
});

test('the budget: what the last ten seconds earned at once, then the fraction, and a minimum', () => {
  const budget = new RetryBudget(0.2);
  for (let i = 0; i < 1_000; i++) budget.deposit(1_000);
  let granted = 0;
  while (budget.tryWithdraw(1_000)) granted++;
  expect(granted).toBe(200 + 100);
  // Ten seconds later deposits and withdrawals have expired: only the minimum is left.
  let later = 0;
  while (budget.tryWithdraw(12_000)) later++;
  expect(later).toBe(100);
});

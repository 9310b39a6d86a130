import { expect, test } from 'vitest';
import { type AttemptResult, classifyAttempt, isFromPlatform, isIdempotent } from './retry.ts';
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

const fromPlatform = (status: number): AttemptResult => ({
  kind: 'response',
  status,
  via: 'gateway',
  unsentMark: false,
  fromPlatform: true,
});

test.each<[AttemptResult, string]>([
  [response(200), 'final'],
  [response(404), 'final'],
  [response(429), 'final'],
  [response(500), 'final'],
  [response(501), 'final'],
  // An application may use any status.
  ...[520, 521, 522, 523, 524, 525, 526, 529, 530].map((status): [AttemptResult, string] => [
    response(status),
    'final',
  ]),
  ...[521, 523, 525, 526].map((status): [AttemptResult, string] => [fromPlatform(status), 'unsent']),
  ...[520, 522, 524, 530].map((status): [AttemptResult, string] => [fromPlatform(status), 'ambiguous']),
  [response(503, 'gateway', true), 'unsent'],
  [response(503, 'direct', true), 'ambiguous'],
  [response(401, 'gateway', true), 'unsent'],
  [response(401, 'direct', true), 'final'],
  [response(401), 'final'],
  [response(503), 'ambiguous'],
  [response(502), 'ambiguous'],
  [response(504), 'ambiguous'],
  [{ kind: 'thrown', message: 'Network connection lost.' }, 'ambiguous'],
  [{ kind: 'timeout' }, 'ambiguous'],
])('%o is %s', (result, reach) => {
  expect(classifyAttempt(result)).toBe(reach);
});

test('a status is from Cloudflare only there, for a gateway, and when no instance is named', () => {
  const on = { onCloudflare: true, via: 'gateway' } as const;
  const seen = (
    status: number,
    to: Parameters<typeof isFromPlatform>[1] = on,
    instance: string | null = null,
  ) => isFromPlatform({ status, instance }, to);
  for (const status of [520, 521, 522, 523, 524, 525, 526, 530]) {
    expect(seen(status)).toBe(true);
    expect(seen(status, { ...on, onCloudflare: false })).toBe(false);
    expect(seen(status, { ...on, via: 'direct' })).toBe(false);
    expect(seen(status, on, 'gs-1')).toBe(false);
  }
  for (const status of [500, 503, 519, 527, 529]) expect(seen(status)).toBe(false);
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

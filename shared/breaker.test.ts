import { expect, test } from 'vitest';
import { advanceBreaker, type Breaker, closedBreaker, recordCalls } from './breaker.ts';
import type { BreakerPolicy } from './config/config.ts';

const limits: BreakerPolicy = {
  failureRate: 0.5,
  slowCallRate: 1,
  slowCall: 5_000,
  window: 30_000,
  minimumCalls: 20,
  openFor: 30_000,
  maxOpenFor: 100_000,
  halfOpenCalls: 5,
};
const calls = (total: number, failures = 0, slow = 0) => ({ calls: total, failures, timed: total, slow });
/** The calls that a closed breaker's window holds. */
function inWindow(breaker: Breaker): { calls: number; failures: number } {
  const buckets = breaker.state === 'closed' ? breaker.buckets : [];
  return {
    calls: buckets.reduce((sum, bucket) => sum + bucket.calls, 0),
    failures: buckets.reduce((sum, bucket) => sum + bucket.failures, 0),
  };
}

const START = 1_700_000_000_000;

const opened = (): Breaker => recordCalls(closedBreaker(), calls(20, 20), limits, START);

test('opens at exactly the threshold, never below minimumCalls', () => {
  expect(recordCalls(closedBreaker(), calls(19, 19), limits, START).state).toBe('closed');
  expect(recordCalls(closedBreaker(), calls(20, 9), limits, START).state).toBe('closed');
  expect(recordCalls(closedBreaker(), calls(20, 10), limits, START)).toMatchObject({
    state: 'open',
    until: START + 30_000,
    why: '10 of 20 calls failed',
  });
});

test('slow calls open the breaker', () => {
  expect(recordCalls(closedBreaker(), calls(20, 0, 19), limits, START).state).toBe('closed');
  expect(recordCalls(closedBreaker(), calls(20, 0, 20), limits, START)).toMatchObject({
    state: 'open',
    why: '20 of 20 calls took longer than 5 s',
  });
});

test('old calls do not count after an idle hour', () => {
  // 19 failures are below the minimum; one more an hour later must not open the breaker.
  const before = recordCalls(closedBreaker(), calls(19, 19), limits, START);
  const after = recordCalls(before, calls(1, 1), limits, START + 3_600_000);
  expect(after.state).toBe('closed');
  expect(inWindow(after)).toEqual({ calls: 1, failures: 1 });
});

test('calls leave the window by time, not by count', () => {
  let breaker = closedBreaker();
  for (let second = 0; second < 60; second++) {
    breaker = recordCalls(breaker, calls(1, second < 15 ? 1 : 0), limits, START + second * 1000);
  }
  expect(breaker.state).toBe('closed');
  expect(inWindow(breaker).failures).toBe(0);
  expect(inWindow(recordCalls(breaker, calls(1), limits, START + 90_000))).toEqual({ calls: 1, failures: 0 });
});

test('an open breaker becomes half-open by time and ignores calls until then', () => {
  const breaker = recordCalls(opened(), calls(100, 100), limits, START + 29_999);
  expect(breaker).toEqual(opened());
  expect(advanceBreaker(breaker, START + 29_999).state).toBe('open');
  expect(advanceBreaker(breaker, START + 30_000).state).toBe('half_open');
});

test('half-open decides by the same thresholds after halfOpenCalls calls', () => {
  const trial = advanceBreaker(opened(), START + 30_000);
  const waiting = recordCalls(trial, calls(4, 4), limits, START + 30_001);
  expect(waiting.state).toBe('half_open');
  expect(recordCalls(waiting, calls(1), limits, START + 30_002).state).toBe('open');
  expect(recordCalls(trial, calls(5, 2), limits, START + 30_002)).toEqual(closedBreaker());
});

test('the open time doubles with each failed half-open phase up to maxOpenFor, and resets when closed', () => {
  let breaker = opened();
  let now = START;
  const openTimes: number[] = [];
  for (let round = 0; round < 4; round++) {
    if (breaker.state !== 'open') throw new Error('must be open');
    openTimes.push(breaker.until - breaker.openedAt);
    now = breaker.until;
    breaker = recordCalls(advanceBreaker(breaker, now), calls(5, 5), limits, now);
  }
  expect(openTimes).toEqual([30_000, 60_000, 100_000, 100_000]);
  if (breaker.state !== 'open') throw new Error('must be open');
  now = breaker.until;
  const closed = recordCalls(advanceBreaker(breaker, now), calls(5), limits, now);
  expect(recordCalls(closed, calls(20, 20), limits, now)).toMatchObject({ until: now + 30_000 });
});

test('the slow rate uses timed calls only', () => {
  const counted = { calls: 500, failures: 0, timed: 0, slow: 0 };
  const timed = { calls: 0, failures: 0, timed: 20, slow: 20 };
  const before = recordCalls(closedBreaker(), counted, limits, START);
  const open = recordCalls(before, timed, limits, START + 1_000);
  expect(open).toMatchObject({ state: 'open', cause: 'slowness' });
  const trial = recordCalls(advanceBreaker(open, START + 31_000), counted, limits, START + 31_000);
  expect(trial.state).toBe('half_open');
  expect(recordCalls(trial, { ...timed, slow: 0 }, limits, START + 32_000).state).toBe('closed');
});

test('a clock set back by an hour keeps neither the breaker open nor old calls', () => {
  const hourAgo = START - 3_600_000;
  expect(advanceBreaker(opened(), START - 1_000).state).toBe('open');
  expect(advanceBreaker(opened(), hourAgo).state).toBe('half_open');
  const before = recordCalls(closedBreaker(), calls(500), limits, START);
  expect(recordCalls(before, calls(20, 20), limits, hourAgo).state).toBe('open');
});

import { expect, test } from 'vitest';
import { currentLatency, newLatencyEstimate, recordLatency, recordLatencyBound } from './latency.ts';

test('a cancelled request raises the estimate to its time so far, and never lowers it', () => {
  const latency = newLatencyEstimate();
  const bound = (elapsedMs: number, now: number, baseline?: number) =>
    recordLatencyBound(latency, elapsedMs, { baseline, now });
  bound(3, 1_000, 5);
  expect(latency).toEqual(newLatencyEstimate());
  bound(400, 1_000, 5);
  expect(currentLatency(latency, 5, 1_000)).toBe(400);
  bound(300, 1_100, 5);
  expect(latency).toEqual({ estimate: 400, at: 1_000 });
  // The estimate has faded below the new bound.
  bound(300, 11_000, 5);
  expect(currentLatency(latency, 5, 11_000)).toBe(300);
  recordLatency(latency, 900, 11_000);
  bound(800, 11_000, 5);
  expect(latency.estimate).toBe(900);
});

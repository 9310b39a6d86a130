import { expect, test } from 'vitest';
import { addToSketch, emptySketch } from '../../../shared/sketch.ts';
import { addTraffic, BUCKET_MS, BUCKETS, emptyWindow, summariseTraffic } from './traffic-window.ts';

const START = 1_000 * BUCKET_MS;

function latencies(...values: number[]) {
  const sketch = emptySketch();
  for (const value of values) addToSketch(sketch, value);
  return sketch;
}

test('the rate is of whole buckets, the filling one counts for nothing', () => {
  const window = emptyWindow();
  addTraffic(window, START, { success: 90, failure: 10 });
  expect(summariseTraffic(window, START + 1_000).perSecond).toBe(0);
  expect(summariseTraffic(window, START + BUCKET_MS)).toMatchObject({ perSecond: 10, errorPercent: 10 });
  expect(summariseTraffic(window, START + 3 * BUCKET_MS).perSecond).toBe(0);
});

test('percentiles come from the last minute and say nothing when nothing was measured', () => {
  const window = emptyWindow();
  expect(summariseTraffic(window, START)).toMatchObject({ p50: null, p95: null, errorPercent: null });
  addTraffic(window, START, { success: 3, failure: 0, latency: latencies(10, 20, 400) });
  const { p50, p99 } = summariseTraffic(window, START + BUCKET_MS);
  expect(p50).toBeCloseTo(20, 0);
  expect(p99).toBeGreaterThan(19);
  expect(summariseTraffic(window, START + 30 * BUCKET_MS).p50).toBeNull();
});

test('five minutes of history, oldest first, and nothing older is kept', () => {
  const window = emptyWindow();
  for (let index = 0; index < 500; index++) {
    addTraffic(window, START + index * BUCKET_MS, { success: 5, failure: 0 });
  }
  const { history } = summariseTraffic(window, START + 500 * BUCKET_MS);
  expect(history.perSecond).toHaveLength(BUCKETS);
  expect(history.perSecond.every((rate) => rate === 1)).toBe(true);
  expect(window.buckets.size).toBeLessThan(BUCKETS + 3);
});

import { expect, test } from 'vitest';
import { addToSketch, emptySketch, type Sketch } from '../../../shared/sketch.ts';
import { BUCKET_MS, createTrafficWindow } from '../../core/traffic-window.ts';
import { createRateReader, HISTORY_BUCKETS, summariseTraffic } from './traffic-window.ts';

const START = 1_000 * BUCKET_MS;

function open() {
  const window = createTrafficWindow();
  const add = (at: number, success: number, failure = 0, latency?: Sketch) =>
    window.addTraffic({
      kind: 'traffic',
      source: 'haproxy',
      service: 'gs',
      instance: 'gs-1',
      at,
      success,
      failure,
      slow: 0,
      ...(latency && { latency }),
    });
  return { window, add, summary: (at: number) => summariseTraffic(window, 'gs/gs-1', at) };
}

function latencies(...values: number[]) {
  const sketch = emptySketch();
  for (const value of values) addToSketch(sketch, value);
  return sketch;
}

test('rates cover whole buckets and leave out the one that is filling', () => {
  const { add, summary } = open();
  add(START, 90, 10);
  expect(summary(START + 1_000).perSecond).toBe(0);
  expect(summary(START + BUCKET_MS)).toMatchObject({ perSecond: 10, errorPercent: 10 });
  expect(summary(START + 3 * BUCKET_MS).perSecond).toBe(0);
});

test('percentiles come from the last minute and are null when nothing was measured', () => {
  const { add, summary } = open();
  expect(summary(START)).toMatchObject({ p50: null, p95: null, errorPercent: null });
  add(START, 3, 0, latencies(10, 20, 400));
  const { p50, p99 } = summary(START + BUCKET_MS);
  expect(p50).toBeCloseTo(20, 0);
  expect(p99).toBeGreaterThan(19);
  expect(summary(START + 30 * BUCKET_MS).p50).toBeNull();
});

test('history covers five minutes, oldest first', () => {
  const { add, summary } = open();
  for (let index = 0; index < 500; index++) add(START + index * BUCKET_MS, 5);
  const { history } = summary(START + 500 * BUCKET_MS);
  expect(history.perSecond).toHaveLength(HISTORY_BUCKETS);
  expect(history.perSecond.every((rate) => rate === 1)).toBe(true);
});

test('the rate reader gives the same rates as the summary, in every bucket', () => {
  const { window, add, summary } = open();
  const ratesOf = createRateReader(window);
  for (let index = 0; index < 20; index++) {
    add(START + index * BUCKET_MS, index, index % 3, latencies(index));
    const { perSecond, errorPercent, p50, p95, p99 } = summary(START + (index + 1) * BUCKET_MS);
    const rates = { perSecond, errorPercent, p50, p95, p99 };
    expect(ratesOf('gs/gs-1', START + (index + 1) * BUCKET_MS)).toEqual(rates);
    expect(ratesOf('gs/gs-1', START + (index + 1) * BUCKET_MS + 1)).toEqual(rates);
  }
});

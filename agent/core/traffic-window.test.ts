import { expect, test } from 'vitest';
import { addToSketch, emptySketch } from '../../shared/sketch.ts';
import { sampleInstance } from '../../test/harness/instance.ts';
import { requestsOf } from '../../test/harness/requests.ts';
import type { TrafficDelta } from './state.ts';
import { BUCKET_MS, createTrafficWindow } from './traffic-window.ts';

const START = 1_000_000_000_000;
const HOUR = 3_600_000;
const delta = (at: number, success: number, more: Partial<TrafficDelta> = {}): TrafficDelta => ({
  kind: 'traffic',
  source: 'haproxy',
  service: 'gs',
  instance: 'gs-1',
  at,
  success,
  failure: 0,
  slow: 0,
  ...more,
});
const sketchOf = (ms: number, times: number) => {
  const sketch = emptySketch();
  addToSketch(sketch, ms, times);
  return sketch;
};

test('requests count for their service and the site, attempts for their instance', () => {
  const window = createTrafficWindow();
  window.addRequests(requestsOf(START, 7, 1, { retries: 3, hedges: 2, limited: 1, ms: 20 }));
  window.addTraffic(delta(START, 3, { latency: sketchOf(10, 3) }));
  window.addTraffic(delta(START, 4, { instance: 'gs-2', failure: 4, latency: sketchOf(20, 5) }));
  const { totals } = window.read(START, 60_000);
  expect(totals.get('gs/gs-1')).toMatchObject({ success: 3, failure: 0, latency: { count: 3 } });
  expect(totals.get('gs/gs-2')).toMatchObject({ success: 4, failure: 4, latency: { count: 5 } });
  for (const key of ['gs/', '/']) {
    expect(totals.get(key)).toMatchObject({
      success: 7,
      failure: 1,
      latency: { count: 8 },
      attempts: 11,
      retries: 3,
      hedges: 2,
      limited: 1,
    });
  }
});

test('idle instances share their totals until one of them gets a request', () => {
  const window = createTrafficWindow();
  const instances = ['gs-1', 'gs-2', 'gs-3'].map(
    (id) => [`gs/${id}`, sampleInstance({ id, state: id === 'gs-3' ? 'down' : 'up' })] as const,
  );
  window.addSample(instances, START);
  const before = window.buckets('gs/gs-1', START + BUCKET_MS, 1);
  expect(window.buckets('gs/gs-2', START + BUCKET_MS, 1)[0]).toBe(before[0]);
  window.addTraffic(delta(START, 3));
  window.addSample(instances, START + 1);
  const { totals } = window.read(START, 60_000);
  expect(totals.get('gs/gs-1')).toMatchObject({ success: 3, samples: 2, upSamples: 2 });
  expect(totals.get('gs/gs-2')).toMatchObject({ success: 0, samples: 2, upSamples: 2 });
  expect(totals.get('gs/gs-3')).toMatchObject({ success: 0, samples: 2, upSamples: 0 });
});

test('requests that another agent received are shown, but handed to no accumulator', () => {
  const window = createTrafficWindow();
  const accumulator = window.accumulate();
  window.addRequests(requestsOf(START, 5), true);
  window.addRequests(requestsOf(START, 2));
  expect(window.read(START, 60_000).totals.get('gs/')?.success).toBe(7);
  expect(accumulator.takeAll()[0]?.totals.get('gs/')?.success).toBe(2);
});

test('a delta keeps its own sketch', () => {
  const window = createTrafficWindow();
  const latency = sketchOf(10, 3);
  window.addTraffic(delta(START, 3, { latency }));
  window.addTraffic(delta(START, 3, { latency: sketchOf(30, 3) }));
  expect(latency).toEqual(sketchOf(10, 3));
});

test('old buckets are dropped after five minutes, or later when more are wanted', () => {
  for (const [retention, kept] of [
    [0, 60],
    [HOUR, 720],
  ] as const) {
    const window = createTrafficWindow(() => retention);
    for (let index = 0; index < 1_000; index++) window.addTraffic(delta(START + index * BUCKET_MS, 1));
    const found = window.buckets('gs/gs-1', START + 1_000 * BUCKET_MS, 1_000).filter(Boolean).length;
    expect(found).toBeGreaterThanOrEqual(kept);
    expect(found).toBeLessThan(kept + 5);
  }
});

test('buckets that are empty or still filling are undefined', () => {
  const window = createTrafficWindow();
  window.addTraffic(delta(START, 1));
  window.addTraffic(delta(START + 2 * BUCKET_MS, 3));
  const counts = (end: number) => window.buckets('gs/gs-1', end, 3).map((bucket) => bucket?.success);
  expect(counts(START + 3 * BUCKET_MS)).toEqual([1, undefined, 3]);
  expect(counts(START + 3 * BUCKET_MS - 1)).toEqual([undefined, 1, undefined]);
});

test('a late entry goes into its own bucket', () => {
  const window = createTrafficWindow();
  window.addTraffic(delta(START + BUCKET_MS, 1));
  window.addTraffic(delta(START, 2));
  expect(window.buckets('gs/gs-1', START + 2 * BUCKET_MS, 2).map((bucket) => bucket?.success)).toEqual([
    2, 1,
  ]);
});

test('after the clock was set back, nothing from the future counts', () => {
  const window = createTrafficWindow();
  window.addTraffic(delta(START + HOUR, 5));
  window.addTraffic(delta(START, 3));
  expect(window.read(START + HOUR, HOUR).totals.get('gs/gs-1')).toMatchObject({ success: 3 });
});

test('an accumulator hands out each entry once, by period', () => {
  const window = createTrafficWindow();
  const minutes = window.accumulate(60_000);
  const all = window.accumulate();
  const minute = Math.ceil(START / 60_000) * 60_000;
  window.addTraffic(delta(minute, 1));
  window.addTraffic(delta(minute + 60_000, 2));
  const taken = minutes.takeEnded(minute + 60_000);
  expect(taken.map(({ start, totals }) => [start, totals.get('gs/gs-1')?.success])).toEqual([[minute, 1]]);
  expect(minutes.takeEnded(minute + 60_000)).toEqual([]);
  expect(minutes.takeAll()).toMatchObject([{ start: minute + 60_000 }]);
  expect(all.takeAll()).toMatchObject([{ start: 0 }]);
  expect(all.takeAll()).toEqual([]);
});

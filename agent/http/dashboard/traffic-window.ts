import { emptySketch, mergeSketch, type Sketch, sketchQuantile } from '../../../shared/sketch.ts';

import type { TrafficRates, TrafficSummary } from '../schemas.ts';

/** The last five minutes of one instance, service, or everything, in 60 buckets of 5 s. Instants are epoch milliseconds. */
export interface DashboardWindow {
  buckets: Map<number, TrafficBucket>;
  /** What was reckoned last, true until a bucket up to `last` changes. */
  cachedRates?: { last: number; pace: TrafficRates };
}

interface TrafficBucket {
  success: number;
  failure: number;
  latency: Sketch;
}

export const BUCKET_MS = 5_000;
export const BUCKETS = 60;
/** Rates are of the last two whole buckets, percentiles and errors of the last minute. */
const RATE_BUCKETS = 2;
const QUANTILE_BUCKETS = 12;

export const emptyWindow = (): DashboardWindow => ({ buckets: new Map() });

export function addTraffic(
  window: DashboardWindow,
  at: number,
  traffic: { success: number; failure: number; latency?: Sketch },
): void {
  const index = Math.floor(at / BUCKET_MS);
  let bucket = window.buckets.get(index);
  if (!bucket) {
    bucket = { success: 0, failure: 0, latency: emptySketch() };
    window.buckets.set(index, bucket);
    for (const old of window.buckets.keys()) if (old < index - BUCKETS - 1) window.buckets.delete(old);
  }
  if (window.cachedRates && index <= window.cachedRates.last) delete window.cachedRates;
  bucket.success += traffic.success;
  bucket.failure += traffic.failure;
  if (traffic.latency) mergeSketch(bucket.latency, traffic.latency);
}

/**
 * `settledAt`: all that happened before it has been told. The bucket that is still filling then counts for nothing: a
 * rate read from it would jump about.
 */
export function summariseTraffic(window: DashboardWindow, settledAt: number): TrafficSummary {
  const all = recent(window, settledAt, BUCKETS);
  return {
    ...currentRates(window, settledAt),
    history: {
      perSecond: all.map((bucket) => (callsOf([bucket]) * 1000) / BUCKET_MS),
      errorPercent: all.map((bucket) => errorPercentOf([bucket])),
      p95: all.map((bucket) => rounded(bucket ? sketchQuantile(bucket.latency, 0.95) : null)),
    },
  };
}

const EMPTY: TrafficRates = { perSecond: 0, errorPercent: null, p50: null, p95: null, p99: null };

/** The same without the history. Reckoned anew only every five seconds: hundreds of instances are asked for every second. */
export function currentRates(window: DashboardWindow, settledAt: number): TrafficRates {
  const last = Math.floor(settledAt / BUCKET_MS) - 1;
  if (window.cachedRates?.last !== last) window.cachedRates = { last, pace: computeRates(window, settledAt) };
  return window.cachedRates.pace;
}

function computeRates(window: DashboardWindow, settledAt: number): TrafficRates {
  const minute = recent(window, settledAt, QUANTILE_BUCKETS);
  if (minute.every((bucket) => bucket === undefined)) return EMPTY;
  const sketch = emptySketch();
  for (const bucket of minute) if (bucket) mergeSketch(sketch, bucket.latency);
  return {
    perSecond: callsOf(recent(window, settledAt, RATE_BUCKETS)) / ((RATE_BUCKETS * BUCKET_MS) / 1000),
    errorPercent: errorPercentOf(minute),
    p50: rounded(sketchQuantile(sketch, 0.5)),
    p95: rounded(sketchQuantile(sketch, 0.95)),
    p99: rounded(sketchQuantile(sketch, 0.99)),
  };
}

/** The last whole buckets, oldest first. */
function recent(window: DashboardWindow, settledAt: number, count: number): (TrafficBucket | undefined)[] {
  const last = Math.floor(settledAt / BUCKET_MS) - 1;
  return Array.from({ length: count }, (_, index) => window.buckets.get(last - count + 1 + index));
}

function callsOf(buckets: readonly (TrafficBucket | undefined)[]): number {
  return buckets.reduce((sum, bucket) => sum + (bucket ? bucket.success + bucket.failure : 0), 0);
}

function errorPercentOf(buckets: readonly (TrafficBucket | undefined)[]): number | null {
  const calls = callsOf(buckets);
  if (calls === 0) return null;
  const failures = buckets.reduce((sum, bucket) => sum + (bucket?.failure ?? 0), 0);
  return Math.round((failures / calls) * 10_000) / 100;
}

function rounded(value: number | null): number | null {
  return value === null ? null : Math.round(value * 10) / 10;
}

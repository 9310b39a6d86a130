import { emptySketch, mergeSketch, type Sketch, sketchQuantile } from '../../shared/sketch.ts';

/** The last five minutes of one instance, service, or everything, in 60 buckets of 5 s. Instants are epoch milliseconds. */
export interface TrafficWindow {
  buckets: Map<number, Bucket>;
}

interface Bucket {
  success: number;
  failure: number;
  latency: Sketch;
}

/** What the page shows of a window. Times in milliseconds; null where nothing was measured. */
export interface Traffic {
  perSecond: number;
  errorPercent: number | null;
  p50: number | null;
  p95: number | null;
  p99: number | null;
  history: { perSecond: number[]; errorPercent: (number | null)[]; p95: (number | null)[] };
}

export const BUCKET_MS = 5_000;
export const BUCKETS = 60;
/** Rates are of the last two whole buckets, percentiles and errors of the last minute. */
const RATE_BUCKETS = 2;
const QUANTILE_BUCKETS = 12;

export const emptyWindow = (): TrafficWindow => ({ buckets: new Map() });

export function addTraffic(
  window: TrafficWindow,
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
  bucket.success += traffic.success;
  bucket.failure += traffic.failure;
  if (traffic.latency) mergeSketch(bucket.latency, traffic.latency);
}

/**
 * `settledAt`: all that happened before it has been told. The bucket that is still filling then counts for nothing: a
 * rate read from it would jump about.
 */
export function summarise(window: TrafficWindow, settledAt: number): Traffic {
  const last = Math.floor(settledAt / BUCKET_MS) - 1;
  const recent = (count: number) =>
    Array.from({ length: count }, (_, index) => window.buckets.get(last - count + 1 + index));
  const sketch = emptySketch();
  for (const bucket of recent(QUANTILE_BUCKETS)) if (bucket) mergeSketch(sketch, bucket.latency);
  const all = recent(BUCKETS);
  return {
    perSecond: callsOf(recent(RATE_BUCKETS)) / ((RATE_BUCKETS * BUCKET_MS) / 1000),
    errorPercent: errorPercentOf(recent(QUANTILE_BUCKETS)),
    p50: rounded(sketchQuantile(sketch, 0.5)),
    p95: rounded(sketchQuantile(sketch, 0.95)),
    p99: rounded(sketchQuantile(sketch, 0.99)),
    history: {
      perSecond: all.map((bucket) => (callsOf([bucket]) * 1000) / BUCKET_MS),
      errorPercent: all.map((bucket) => errorPercentOf([bucket])),
      p95: all.map((bucket) => rounded(bucket ? sketchQuantile(bucket.latency, 0.95) : null)),
    },
  };
}

function callsOf(buckets: readonly (Bucket | undefined)[]): number {
  return buckets.reduce((sum, bucket) => sum + (bucket ? bucket.success + bucket.failure : 0), 0);
}

function errorPercentOf(buckets: readonly (Bucket | undefined)[]): number | null {
  const calls = callsOf(buckets);
  if (calls === 0) return null;
  const failures = buckets.reduce((sum, bucket) => sum + (bucket?.failure ?? 0), 0);
  return Math.round((failures / calls) * 10_000) / 100;
}

function rounded(value: number | null): number | null {
  return value === null ? null : Math.round(value * 10) / 10;
}

import { emptySketch, mergeSketch, sketchQuantile } from '../../../shared/sketch.ts';
import { BUCKET_MS, type TrafficTotals, type TrafficWindow } from '../../core/traffic-window.ts';
import type { TrafficRates, TrafficSummary } from '../schemas.ts';

export const HISTORY_BUCKETS = 60;
/** Rates cover the last two whole buckets, percentiles and errors the last minute. */
const RATE_BUCKETS = 2;
const QUANTILE_BUCKETS = 12;

/** Rates and history from buckets that ended by `completeUntil`; a bucket that still fills would show a false drop. */
export function summariseTraffic(window: TrafficWindow, key: string, completeUntil: number): TrafficSummary {
  const history = window.buckets(key, completeUntil, HISTORY_BUCKETS);
  return {
    ...ratesOf(history),
    history: {
      perSecond: history.map((bucket) => (requestsOf([bucket]) * 1000) / BUCKET_MS),
      errorPercent: history.map((bucket) => errorPercentOf([bucket])),
      p95: history.map((bucket) => rounded(bucket?.latency ? sketchQuantile(bucket.latency, 0.95) : null)),
    },
  };
}

/**
 * Current rates by key, cached until the next bucket ends: the stream reads hundreds of instances every second, but rates
 * change every five seconds.
 */
export function createRateReader(
  window: TrafficWindow,
): (key: string, completeUntil: number) => TrafficRates {
  let bucket = 0;
  const known = new Map<string, TrafficRates>();
  return (key, completeUntil) => {
    const current = Math.floor(completeUntil / BUCKET_MS);
    if (current !== bucket) known.clear();
    bucket = current;
    const rates = known.get(key) ?? ratesOf(window.buckets(key, completeUntil, QUANTILE_BUCKETS));
    known.set(key, rates);
    return rates;
  };
}

type MaybeTotals = TrafficTotals | undefined;

function ratesOf(buckets: readonly MaybeTotals[]): TrafficRates {
  const minute = buckets.slice(-QUANTILE_BUCKETS);
  const latency = emptySketch();
  for (const bucket of minute) if (bucket?.latency) mergeSketch(latency, bucket.latency);
  return {
    perSecond: requestsOf(buckets.slice(-RATE_BUCKETS)) / ((RATE_BUCKETS * BUCKET_MS) / 1000),
    errorPercent: errorPercentOf(minute),
    p50: rounded(sketchQuantile(latency, 0.5)),
    p95: rounded(sketchQuantile(latency, 0.95)),
    p99: rounded(sketchQuantile(latency, 0.99)),
  };
}

function requestsOf(buckets: readonly MaybeTotals[]): number {
  return buckets.reduce((sum, bucket) => sum + (bucket ? bucket.success + bucket.failure : 0), 0);
}

function errorPercentOf(buckets: readonly MaybeTotals[]): number | null {
  const requests = requestsOf(buckets);
  if (requests === 0) return null;
  const failures = buckets.reduce((sum, bucket) => sum + (bucket?.failure ?? 0), 0);
  return Math.round((failures / requests) * 10_000) / 100;
}

function rounded(value: number | null): number | null {
  return value === null ? null : Math.round(value * 10) / 10;
}

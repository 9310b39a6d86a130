import { emptySketch, mergeSketch, sketchQuantile } from '../../../shared/sketch.ts';
import { BUCKET_MS, type TrafficTotals, type TrafficWindow } from '../../core/traffic-window.ts';
import type { TrafficRates, TrafficSummary } from '../schemas/traffic.ts';

export const HISTORY_BUCKETS = 60;
/** Rates cover the last two whole buckets, percentiles and errors the last minute. */
const RATE_BUCKETS = 2;
const QUANTILE_BUCKETS = 12;

/** Rates and history from buckets that ended by `completeUntil`; a bucket that still fills would show a false drop. */
export function summariseTraffic(window: TrafficWindow, key: string, completeUntil: number): TrafficSummary {
  const history = window.buckets(key, completeUntil, HISTORY_BUCKETS);
  const minute = history.slice(-QUANTILE_BUCKETS);
  const sum = (count: 'failure' | 'attempts' | 'retries' | 'hedges' | 'limited') =>
    minute.reduce((total, bucket) => total + (bucket?.[count] ?? 0), 0);
  return {
    ...ratesOf(history),
    requests: countOf(minute),
    failed: sum('failure'),
    attempts: sum('attempts'),
    retries: sum('retries'),
    hedges: sum('hedges'),
    limited: sum('limited'),
    history: {
      until: Math.floor(completeUntil / BUCKET_MS) * BUCKET_MS,
      perSecond: history.map((bucket) => (countOf([bucket]) * 1000) / BUCKET_MS),
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

/** The measured share of each instance in the attempts of its service in the last minute, in percent; null without any. */
export function trafficShares(
  window: TrafficWindow,
  keys: readonly string[],
  completeUntil: number,
): (number | null)[] {
  const counts = keys.map((key) => countOf(window.buckets(key, completeUntil, QUANTILE_BUCKETS)));
  const all = counts.reduce((sum, count) => sum + count, 0);
  return counts.map((count) => (all === 0 ? null : rounded((100 * count) / all)));
}

type MaybeTotals = TrafficTotals | undefined;

function ratesOf(buckets: readonly MaybeTotals[]): TrafficRates {
  const minute = buckets.slice(-QUANTILE_BUCKETS);
  const latency = emptySketch();
  for (const bucket of minute) if (bucket?.latency) mergeSketch(latency, bucket.latency);
  return {
    perSecond: countOf(buckets.slice(-RATE_BUCKETS)) / ((RATE_BUCKETS * BUCKET_MS) / 1000),
    errorPercent: errorPercentOf(minute),
    p50: rounded(sketchQuantile(latency, 0.5)),
    p95: rounded(sketchQuantile(latency, 0.95)),
    p99: rounded(sketchQuantile(latency, 0.99)),
  };
}

function countOf(buckets: readonly MaybeTotals[]): number {
  return buckets.reduce((sum, bucket) => sum + (bucket ? bucket.success + bucket.failure : 0), 0);
}

function errorPercentOf(buckets: readonly MaybeTotals[]): number | null {
  const all = countOf(buckets);
  if (all === 0) return null;
  const failures = buckets.reduce((sum, bucket) => sum + (bucket?.failure ?? 0), 0);
  return Math.round((failures / all) * 10_000) / 100;
}

function rounded(value: number | null): number | null {
  return value === null ? null : Math.round(value * 10) / 10;
}

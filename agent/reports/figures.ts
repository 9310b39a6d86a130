import { type Sketch, sketchQuantile } from '../../shared/sketch.ts';
import type { Rollup } from '../history/rollups/rollup.ts';
import type { AvailabilityFigure, LatencyFigure, ReportFigures, ReportPoint } from './report.ts';

/** Percentiles come from single requests when at least this share of them was timed. */
const MIN_TIMED_SHARE = 0.5;

export function percentiles(rollup: Rollup): LatencyFigure | null {
  const { latency, means, requests } = rollup;
  const exact = latency && latency.count > 0 && latency.count >= MIN_TIMED_SHARE * requests;
  if (exact) return read(latency, 'requests');
  if (means && means.count > 0) return read(means, 'means');
  return latency && latency.count > 0 ? read(latency, 'requests') : null;
}

function read(sketch: Sketch, basis: LatencyFigure['basis']): LatencyFigure {
  const at = (q: number) => sketchQuantile(sketch, q) ?? 0;
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: sketch.max, basis };
}

/**
 * Availability against `target` (a fraction): by requests as clients saw them, where they were recorded; else by time where
 * the rollup has samples, of which only the `observedSeconds` with samples count; else by attempts.
 */
export function availability(
  rollup: Rollup,
  observedSeconds: number,
  target: number,
): AvailabilityFigure | null {
  const { samples, upSamples, requests, failures, client } = rollup;
  if (client && requests > 0) {
    return budget('requests', 1 - failures / requests, requests * (1 - target), failures);
  }
  if (samples > 0) {
    const minutes = observedSeconds / 60;
    const down = (1 - upSamples / samples) * minutes;
    return budget('time', upSamples / samples, minutes * (1 - target), down);
  }
  return requests > 0 ? budget('attempts', 1 - failures / requests, requests * (1 - target), failures) : null;
}

function budget(
  basis: AvailabilityFigure['basis'],
  ratio: number,
  allowed: number,
  used: number,
): AvailabilityFigure {
  return {
    basis,
    ratio,
    allowed,
    used,
    burned: allowed > 0 ? used / allowed : used > 0 ? Number.POSITIVE_INFINITY : 0,
  };
}

export interface RollupSpan {
  /** Totals of the period. */
  whole: Rollup;
  /** Periods with data, and periods with availability samples. */
  known: number;
  sampled: number;
  /** All periods, and the seconds of each. */
  periods: number;
  unit: number;
}

export function toFigures(
  { whole, known, sampled, periods, unit }: RollupSpan,
  seconds: number,
  target: number,
): ReportFigures {
  return {
    requests: whole.requests,
    failures: whole.failures,
    attempts: whole.attempts,
    retries: whole.client?.retries ?? 0,
    hedges: whole.client?.hedges ?? 0,
    limited: whole.client?.limited ?? 0,
    errorRate: whole.requests > 0 ? whole.failures / whole.requests : null,
    meanRate: known > 0 ? whole.requests / Math.min(known * unit, seconds) : 0,
    peakRate: whole.peakRate,
    peakConcurrency: whole.peakConcurrency,
    latency: percentiles(whole),
    availability: availability(whole, Math.min(sampled * unit, seconds), target),
    coverage: periods > 0 ? Math.min(1, known / periods) : 0,
  };
}

/** The point of one bucket; `rollup` is undefined when the bucket has no data. */
export function toPoint(start: number, seconds: number, rollup: Rollup | undefined): ReportPoint {
  if (!rollup || (rollup.rows === 0 && rollup.samples === 0 && !rollup.client)) {
    return {
      start,
      gap: true,
      requests: null,
      failures: null,
      meanRate: null,
      peakRate: null,
      p50: null,
      p95: null,
      p99: null,
      availability: null,
    };
  }
  const latency = percentiles(rollup);
  return {
    start,
    gap: false,
    requests: rollup.requests,
    failures: rollup.failures,
    meanRate: rollup.requests / seconds,
    peakRate: rollup.peakRate,
    p50: latency?.p50 ?? null,
    p95: latency?.p95 ?? null,
    p99: latency?.p99 ?? null,
    availability: availability(rollup, seconds, 1)?.ratio ?? null,
  };
}

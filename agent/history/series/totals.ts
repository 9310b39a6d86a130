import { mergeOptionalSketch, type Sketch } from '../../../shared/sketch.ts';

/** Sums of one step, or of the whole range. Null: not recorded. */
export interface SeriesTotals {
  requests: number | null;
  failed: number | null;
  attempts: number | null;
  retries: number | null;
  hedges: number | null;
  limited: number | null;
  status2xx: number | null;
  status3xx: number | null;
  status4xx: number | null;
  status5xx: number | null;
  samples: number | null;
  upSamples: number | null;
  /** Requests in flight plus queued, summed over `concurrencySamples`. */
  concurrencySum: number | null;
  concurrencySamples: number | null;
  queuedMax: number | null;
  breakerSamples: number | null;
  outlierSamples: number | null;
  probes: number | null;
  probesFailed: number | null;
  probeMsSum: number | null;
  /** Attempts of all instances of the service. */
  serviceAttempts: number | null;
  /** Milliseconds. */
  latency: Sketch | null;
}

export const emptySeriesTotals = (): SeriesTotals => ({
  requests: null,
  failed: null,
  attempts: null,
  retries: null,
  hedges: null,
  limited: null,
  status2xx: null,
  status3xx: null,
  status4xx: null,
  status5xx: null,
  samples: null,
  upSamples: null,
  concurrencySum: null,
  concurrencySamples: null,
  queuedMax: null,
  breakerSamples: null,
  outlierSamples: null,
  probes: null,
  probesFailed: null,
  probeMsSum: null,
  serviceAttempts: null,
  latency: null,
});

/** Adds `other` into `into`: null plus a number is the number, and the longest queue is the longer one. */
export function addSeriesTotals(into: SeriesTotals, other: Partial<SeriesTotals>): void {
  const { latency, queuedMax = null, ...counts } = other;
  for (const [name, value] of Object.entries(counts) as [Count, number | null][]) {
    if (value !== null) into[name] = (into[name] ?? 0) + value;
  }
  if (queuedMax !== null) into.queuedMax = Math.max(into.queuedMax ?? 0, queuedMax);
  into.latency = mergeOptionalSketch(into.latency, latency);
}

type Count = Exclude<keyof SeriesTotals, 'latency' | 'queuedMax'>;

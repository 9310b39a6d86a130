import type { Sample } from './load.ts';

/** What clients of one contender saw during one fault. Times in milliseconds. */
export interface Summary {
  get: MethodSummary;
  post: MethodSummary;
  p50: number;
  p99: number;
  p999: number;
  /** Seconds from the start of the fault to the start of the last request that failed or was slow; 0: none. */
  lastHurtSeconds: number;
  /** POSTs that reached instances more than once. */
  repeatedPosts: number;
}

export interface MethodSummary {
  requests: number;
  failed: number;
  /** Took longer than 500 ms, whatever the answer. */
  slow: number;
}

const SLOW_MS = 500;

export function summarize(
  samples: readonly Sample[],
  faultStartedAt: number,
  repeatedPosts: number,
): Summary {
  const times = samples.map(({ ms }) => ms).sort((a, b) => a - b);
  const hurt = samples.filter(({ failed, ms }) => failed || ms > SLOW_MS).map(({ startedAt }) => startedAt);
  return {
    get: countsOf(samples.filter(({ method }) => method === 'GET')),
    post: countsOf(samples.filter(({ method }) => method === 'POST')),
    p50: quantile(times, 0.5),
    p99: quantile(times, 0.99),
    p999: quantile(times, 0.999),
    lastHurtSeconds: Math.max(0, ...hurt.map((at) => (at - faultStartedAt) / 1_000)),
    repeatedPosts,
  };
}

const countsOf = (samples: readonly Sample[]): MethodSummary => ({
  requests: samples.length,
  failed: samples.filter(({ failed }) => failed).length,
  slow: samples.filter(({ ms }) => ms > SLOW_MS).length,
});

const quantile = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;

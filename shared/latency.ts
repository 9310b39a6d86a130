/**
 * Peak EWMA (Finagle): a latency estimate that jumps up at once and comes down slowly.
 *   w = e^(−Δt/τ);  rtt > c: c = rtt;  otherwise c = c·w + rtt·(1 − w)
 * Without samples it decays toward what the agent measures, so a bad minute is not held against an instance for ever.
 */
export interface LatencyEstimate {
  /** Milliseconds; 0 with `at` 0: no sample yet. */
  estimate: number;
  /** Epoch milliseconds of the last sample. */
  at: number;
}

const TAU_MS = 10_000;

export const newLatencyEstimate = (): LatencyEstimate => ({ estimate: 0, at: 0 });

export function recordLatency(latency: LatencyEstimate, rttMs: number, now: number): void {
  if (latency.at === 0 || rttMs > latency.estimate) latency.estimate = rttMs;
  else {
    const weight = Math.exp((latency.at - now) / TAU_MS);
    latency.estimate = latency.estimate * weight + rttMs * (1 - weight);
  }
  latency.at = now;
}

/** The estimate now; `baseline` is the snapshot's latency, or undefined. 0 when nothing is known. */
export function currentLatency(latency: LatencyEstimate, baseline: number | undefined, now: number): number {
  if (latency.at === 0) return baseline ?? 0;
  if (baseline === undefined) return latency.estimate;
  return baseline + (latency.estimate - baseline) * Math.exp((latency.at - now) / TAU_MS);
}

/**
 * Peak EWMA (Finagle): a latency estimate that rises at once and decays slowly.
 *   w = e^(−Δt/τ);  rtt > c: c = rtt;  otherwise c = c·w + rtt·(1 − w)
 * Without new samples it decays toward the agent's measurement.
 */
export interface LatencyEstimate {
  /** Milliseconds. */
  estimate: number;
  /** Epoch milliseconds of the last sample; 0: no sample yet. */
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

/**
 * The estimate now; `baseline` is the snapshot's latency, or undefined. 0 when nothing is known. Old samples fade, so
 * that an instance that lost every comparison is tried again.
 */
export function currentLatency(latency: LatencyEstimate, baseline: number | undefined, now: number): number {
  if (latency.at === 0) return baseline ?? 0;
  const toward = baseline ?? 0;
  return toward + (latency.estimate - toward) * Math.exp((latency.at - now) / TAU_MS);
}

/**
 * A request that was cancelled after `elapsedMs` would have taken longer. Raises the estimate to that bound, and changes
 * nothing when the estimate is higher.
 */
export function recordLatencyBound(
  latency: LatencyEstimate,
  elapsedMs: number,
  { baseline, now }: { baseline: number | undefined; now: number },
): void {
  if (elapsedMs <= currentLatency(latency, baseline, now)) return;
  latency.estimate = elapsedMs;
  latency.at = now;
}

/** How often the edge asks for snapshots, in milliseconds. `dev/costs.ts` computes the bill from these. */

/** The shortest time between two polls of the Hub. */
export const MIN_POLL_MS = 2_000;
/** The longest one while there is traffic. */
export const MAX_POLL_MS = 30_000;
/** The longest one when a service has `path: direct`: there the edge picks the instance, so it must know its state sooner. */
export const MAX_DIRECT_POLL_MS = 10_000;
/** After this many requests of an isolate it polls earlier, so that few requests are routed by an old snapshot. */
export const REQUESTS_PER_POLL = 500;
/** A state that has not changed for a time T is polled every T / 8: one change is often followed by others. */
const CHANGE_AGE_PER_POLL = 8;
/** Jitter shortens an interval by up to a fifth, so that isolates do not poll at the same moment. */
const JITTER = 0.2;

/**
 * KV has what the Hub has, but later. An isolate reads it only when the Hub may be missing something: while the Hub fails
 * or is behind, and while the site's snapshot is overdue.
 */
export const KV_WITHOUT_HUB_MS = 5_000;
export const KV_OVERDUE_MS = 30_000;
/** An agent publishes at least every five minutes. */
export const OVERDUE_AFTER_MS = 330_000;

interface PollPace {
  /** Since any instance last changed its state. Negative: the clocks differ. */
  readonly changeAgeMs: number;
  readonly hasDirectService: boolean;
  /** 0–1. */
  readonly random: number;
}

/** How long to wait until the next poll of the Hub: 2 s after a change, growing to 30 s. */
export function pollIntervalMs({ changeAgeMs, hasDirectService, random }: PollPace): number {
  const longest = hasDirectService ? MAX_DIRECT_POLL_MS : MAX_POLL_MS;
  const interval = Math.min(longest, changeAgeMs / CHANGE_AGE_PER_POLL);
  return Math.max(MIN_POLL_MS, interval * (1 - JITTER * random));
}

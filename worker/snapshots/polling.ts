/** How often the edge asks for snapshots, in milliseconds. `dev/costs.ts` computes the bill from these. */

/** The shortest time between two polls of the Hub. */
export const MIN_POLL_MS = 2_000;
/** The longest time between two polls while there is traffic. */
export const MAX_POLL_MS = 30_000;
/**
 * The longest time if a service has `path: direct`: there the edge picks the instance, so it must know states sooner.
 */
export const MAX_DIRECT_POLL_MS = 10_000;
/** After this many requests an isolate polls earlier, so that few requests are routed by an old snapshot. */
export const REQUESTS_PER_POLL = 500;
/** If no state has changed for a time T, the interval is T / 8, because one change is often followed by others. */
const CHANGE_AGE_PER_POLL = 8;
/** Jitter shortens an interval by up to a fifth, so that isolates do not poll at the same moment. */
const JITTER = 0.2;

/**
 * KV gets the same snapshots as the Hub, but later. An isolate reads KV only when the Hub may lack something: while the
 * Hub fails or is behind, and while the site's snapshot is overdue.
 */
export const KV_WITHOUT_HUB_MS = 5_000;
export const KV_OVERDUE_MS = 30_000;
/** A snapshot of this age is overdue, because an agent publishes at least every five minutes. */
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

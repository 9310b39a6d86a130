import type { FailoverStrategy } from './config/config.ts';

/**
 * The four failover strategies. All obey the retry table, the retry budget, `maxAttempts` and the deadline, and end in
 * the last good cached answer where there is one; they differ in how they use them.
 */
export interface FailoverRules {
  /** A session is given a second chance where its state is, before it is moved. */
  readonly retrySameInstance: boolean;
  /** Waits between tries. */
  readonly backoff: boolean;
  /** Sends only to what looks healthy: no panic mode, nothing that is ejected. */
  readonly healthyOnly: boolean;
  /** Turns requests away while the site answers too few. */
  readonly shed: boolean;
}

export const FAILOVER_RULES: Record<FailoverStrategy, FailoverRules> = {
  /** The next instance at once. */
  immediate: { retrySameInstance: false, backoff: false, healthyOnly: false, shed: false },
  /** The same again after a pause for a session, then others, pausing in between. */
  graceful: { retrySameInstance: true, backoff: true, healthyOnly: false, shed: false },
  /** The breaker decides: fails at once rather than knock at what is broken. */
  circuit_break: { retrySameInstance: false, backoff: false, healthyOnly: true, shed: false },
  /** Under overload the lowest class goes first, so that the rest is answered in time. */
  load_shed: { retrySameInstance: false, backoff: false, healthyOnly: false, shed: true },
};

const MAX_BACKOFF_MS = 1_000;

/** Before retry number `retry` (1 is the first): doubling, with half of it random so that clients do not march in step. */
export function backoffMs(retry: number, baseMs: number, random: () => number): number {
  const full = Math.min(baseMs * 2 ** (retry - 1), MAX_BACKOFF_MS);
  return full * (0.5 + random() / 2);
}

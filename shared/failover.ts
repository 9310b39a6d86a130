import type { FailoverStrategy } from './config/config.ts';

/**
 * What differs between the failover strategies. All obey the retry rules, the retry budget, `maxAttempts` and the
 * deadline, and fall back to a cached response when there is one.
 */
interface FailoverRules {
  /** A session gets a second attempt on its own instance before it moves. */
  readonly retrySameInstance: boolean;
  /** Waits before each retry. */
  readonly backoff: boolean;
  /** Sends only to healthy instances: no panic mode, no ejected instance. */
  readonly healthyOnly: boolean;
  /** Rejects requests while the site accepts too few. */
  readonly shed: boolean;
}

export const FAILOVER_RULES: Record<FailoverStrategy, FailoverRules> = {
  immediate: { retrySameInstance: false, backoff: false, healthyOnly: false, shed: false },
  graceful: { retrySameInstance: true, backoff: true, healthyOnly: false, shed: false },
  circuit_break: { retrySameInstance: false, backoff: false, healthyOnly: true, shed: false },
  load_shed: { retrySameInstance: false, backoff: false, healthyOnly: false, shed: true },
};

const MAX_BACKOFF_MS = 1_000;

/** Wait before retry number `retry` (from 1): doubles with each retry, with 50 % jitter. */
export function backoffMs(retry: number, baseMs: number, random: () => number): number {
  const full = Math.min(baseMs * 2 ** (retry - 1), MAX_BACKOFF_MS);
  return full * (0.5 + random() / 2);
}

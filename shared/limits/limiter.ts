/** The decision of a rate limit on one request. */
export interface LimitDecision {
  allowed: boolean;
  /** Units left, never negative. */
  remaining: number;
  /** Milliseconds until units become available; when denied, until this request would pass. */
  resetMs: number;
}

/** Counts per key within one isolate, with bounded memory. */
export interface KeyedLimiter {
  /** Counts the request unless it is denied. */
  take(key: string, limit: number, cost: number, now: number): LimitDecision;
  /** Returns what `take` just counted, because another limit denied the request. */
  refund(key: string, limit: number, cost: number, now: number): void;
}

/** Maximum number of keys of one limiter; beyond it, the least active are evicted. */
export const MAX_KEYS = 32_768;

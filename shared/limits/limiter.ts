/** What a limit says of one request. */
export interface LimitDecision {
  allowed: boolean;
  /** Units left, never negative. */
  remaining: number;
  /** Milliseconds until more becomes available; when denied, until this request would pass. */
  resetMs: number;
}

/** Counts per key within one isolate. Memory is bounded whatever the number of keys. */
export interface KeyedLimiter {
  /** Counts the request unless it is denied. */
  take(key: string, limit: number, cost: number, now: number): LimitDecision;
  /** Takes back what `take` just counted: another policy denied the request. */
  refund(key: string, limit: number, cost: number, now: number): void;
}

/** Keys one limiter remembers at most; beyond that the least active make room. */
export const MAX_KEYS = 32_768;

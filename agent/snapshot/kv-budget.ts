const DAY_MS = 86_400_000;

/**
 * The day's writes to KV (UTC days, as Cloudflare bills them). What the day's remaining heartbeats need is kept back,
 * so that a busy morning does not leave KV stale until midnight.
 */
export interface KvBudget {
  /** Whether this write may go to KV. */
  allows(kind: 'change' | 'heartbeat', now: number): boolean;
  /** One write was taken. What failed costs nothing, or an hour's outage would use up the day. */
  spend(now: number): void;
  left(now: number): number;
}

export function createKvBudget(perDay: number, heartbeatMs: number): KvBudget {
  let day = -1;
  let spent = 0;
  const left = (now: number): number => {
    const today = Math.floor(now / DAY_MS);
    if (today !== day) [day, spent] = [today, 0];
    return perDay - spent;
  };
  return {
    left,
    allows(kind, now) {
      const heartbeats = Math.ceil((DAY_MS - (now % DAY_MS)) / heartbeatMs);
      const keepBack = kind === 'change' ? Math.min(heartbeats, Math.floor(perDay / 2)) : 0;
      return left(now) > keepBack;
    },
    spend(now) {
      // Begins the day's count anew first, if it is another day.
      left(now);
      spent++;
    },
  };
}

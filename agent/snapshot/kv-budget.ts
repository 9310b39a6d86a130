const DAY_MS = 86_400_000;

/**
 * Limits the KV writes of a day (UTC, as Cloudflare bills). Writes for the remaining refreshes of the day are reserved, up
 * to half of the limit, so that a busy morning does not leave KV stale until midnight.
 */
interface KvBudget {
  allows(kind: 'change' | 'refresh', now: number): boolean;
  /** Counts one successful write. Failed writes are not counted, so an outage does not use up the budget. */
  spend(now: number): void;
  left(now: number): number;
}

export function createKvBudget(perDay: number, refreshMs: number): KvBudget {
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
      const refreshes = Math.ceil((DAY_MS - (now % DAY_MS)) / refreshMs);
      const reserved = kind === 'change' ? Math.min(refreshes, Math.floor(perDay / 2)) : 0;
      return left(now) > reserved;
    },
    spend(now) {
      left(now); // resets the count on a new day
      spent++;
    },
  };
}

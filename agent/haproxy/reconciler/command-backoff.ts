/** Keeps two who steer the same HAProxy from undoing each other's orders without end. */
export interface CommandBackoff {
  /** Whether this order may be given now: the same again soon after has to wait, longer each time. */
  allow(order: string): boolean;
  /** What was given is gone, through a restart: all of it may be given anew. */
  reset(): void;
}

const FIRST_MS = 1_000;
const LONGEST_MS = 60_000;
/** Rounds come at most so far apart: what is given again later than this after its wait is another story. */
const ROUND_MS = 5_000;
const MAX_ORDERS = 10_000;

/** `clock`: milliseconds that only ever grow. */
export function createCommandBackoff(clock = () => performance.now()): CommandBackoff {
  const given = new Map<string, { at: number; wait: number }>();
  return {
    allow(order) {
      const now = clock();
      const last = given.get(order);
      const since = last ? now - last.at : 0;
      if (last && since < last.wait) return false;
      if (given.size >= MAX_ORDERS) given.clear();
      const again = last && since < 2 * last.wait + ROUND_MS;
      given.set(order, { at: now, wait: again ? Math.min(2 * last.wait, LONGEST_MS) : FIRST_MS });
      return true;
    },
    reset: () => given.clear(),
  };
}

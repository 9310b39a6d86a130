/**
 * Flap damping after RFC 2439, its minutes turned into seconds: each fall adds a penalty that halves every minute.
 * Above 2,000 the instance is held back although its probes pass, until the penalty is below 750, at most 10 minutes.
 */
export interface Flap {
  penalty: number;
  /** Instant at which `penalty` was exact. */
  at: number;
  falls: number;
  /** Since when it is held back; null: it is not. */
  heldSince: number | null;
}

const PER_FALL = 1_000;
const HALF_LIFE_MS = 60_000;
const SUPPRESS_ABOVE = 2_000;
const REUSE_BELOW = 750;
const HOLD_AT_MOST_MS = 600_000;

export const noFlaps: Flap = { penalty: 0, at: 0, falls: 0, heldSince: null };

export const penaltyAt = (flap: Flap, now: number): number =>
  flap.penalty * 2 ** (-Math.max(0, now - flap.at) / HALF_LIFE_MS);

/** The instance went from up to down. */
export function recordFall(flap: Flap, now: number): Flap {
  const penalty = penaltyAt(flap, now) + PER_FALL;
  const falls = penalty > PER_FALL + 1 ? flap.falls + 1 : 1;
  const heldSince = flap.heldSince ?? (penalty > SUPPRESS_ABOVE ? now : null);
  return { penalty, at: now, falls, heldSince };
}

/** Lets go when the penalty has decayed or ten minutes are over. The same object when nothing changes. */
export function updateSuppression(flap: Flap, now: number): Flap {
  if (flap.heldSince === null) return flap;
  // Held "since" long after now: the clock was set back.
  const over = penaltyAt(flap, now) < REUSE_BELOW || Math.abs(now - flap.heldSince) >= HOLD_AT_MOST_MS;
  return over ? { ...flap, heldSince: null } : flap;
}

/** When a held instance is let go if it does not fall again. */
export function suppressedUntil(flap: Flap): number {
  const decayed = flap.at + HALF_LIFE_MS * Math.log2(flap.penalty / REUSE_BELOW);
  return Math.min(decayed, (flap.heldSince ?? flap.at) + HOLD_AT_MOST_MS);
}

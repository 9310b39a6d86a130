import { elapsedMs } from '../../shared/elapsed.ts';

/**
 * Flap damping after RFC 2439 with shorter times: each fall adds a penalty of 1,000, which halves every minute. Above
 * 2,000 the instance is held down although its probes pass, until the penalty is below 750, for at most 10 minutes.
 */
export interface Flap {
  penalty: number;
  /** When `penalty` was computed, epoch ms. */
  at: number;
  falls: number;
  /** Since when the instance is held down; null: it is not. */
  heldSince: number | null;
}

const PENALTY_PER_FALL = 1_000;
const HALF_LIFE_MS = 60_000;
const SUPPRESS_ABOVE = 2_000;
const REUSE_BELOW = 750;
const MAX_HOLD_MS = 600_000;

export const noFlaps: Flap = { penalty: 0, at: 0, falls: 0, heldSince: null };

const penaltyAt = (flap: Flap, now: number): number =>
  flap.penalty * 2 ** (-Math.max(0, now - flap.at) / HALF_LIFE_MS);

/** Counts one fall from up to down. */
export function recordFall(flap: Flap, now: number): Flap {
  const penalty = penaltyAt(flap, now) + PENALTY_PER_FALL;
  const falls = penalty > PENALTY_PER_FALL + 1 ? flap.falls + 1 : 1;
  const heldSince = flap.heldSince ?? (penalty > SUPPRESS_ABOVE ? now : null);
  return { penalty, at: now, falls, heldSince };
}

/** Ends the hold when the penalty has decayed or ten minutes are over. Returns the same object if nothing changes. */
export function updateSuppression(flap: Flap, now: number): Flap {
  if (flap.heldSince === null) return flap;
  const over = penaltyAt(flap, now) < REUSE_BELOW || elapsedMs(flap.heldSince, now) >= MAX_HOLD_MS;
  return over ? { ...flap, heldSince: null } : flap;
}

/** When the hold ends if the instance does not fall again. */
export function suppressedUntil(flap: Flap): number {
  const decayed = flap.at + HALF_LIFE_MS * Math.log2(flap.penalty / REUSE_BELOW);
  return Math.min(decayed, (flap.heldSince ?? flap.at) + MAX_HOLD_MS);
}

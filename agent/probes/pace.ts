import type { HealthCheck } from '../../shared/config/config.ts';
import { isUndecided, type Tally } from '../judge/health.ts';
import { isPlainRefusal } from './errors.ts';

/** How soon the next probe is due after one began. */
export type Pace = 'normal' | 'fast' | 'urgent';

/** While a verdict hangs on an instance that refuses or ended its connection. */
export const URGENT_MS = 100;
/** A fallen instance is watched closely this long: most come back within a restart. */
const WATCH_AFTER_FALL_MS = 60_000;

export function paceOf(tally: Tally, lastError: string | undefined, now: number): Pace {
  if (isUndecided(tally)) {
    // A running verdict of "down" is hurried only when the instance answers at once; a silent one has its timeout.
    return tally.health === 'up' && isPlainRefusal(lastError) ? 'urgent' : 'fast';
  }
  return tally.health === 'down' && now - tally.since < WATCH_AFTER_FALL_MS ? 'fast' : 'normal';
}

export function paceMs(pace: Pace, check: HealthCheck): number {
  if (pace === 'normal') return check.interval;
  return pace === 'fast' ? check.fastInterval : Math.min(URGENT_MS, check.fastInterval);
}

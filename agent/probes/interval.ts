import type { HealthCheck } from '../../shared/config/config.ts';
import { type HealthCounter, isUndecided } from '../judge/health-counter.ts';
import { isImmediateRefusal } from './errors.ts';

/** How soon the next probe is due after one began. */
export type ProbeInterval = 'normal' | 'fast' | 'urgent';

/** While a verdict hangs on an instance that refuses or ended its connection. */
export const URGENT_MS = 100;
/** A fallen instance is watched closely this long: most come back within a restart. */
const FAST_AFTER_FALL_MS = 60_000;

export function probeIntervalFor(
  tally: HealthCounter,
  lastError: string | undefined,
  now: number,
): ProbeInterval {
  if (isUndecided(tally)) {
    // A running verdict of "down" is hurried only when the instance answers at once; a silent one has its timeout.
    return tally.health === 'up' && isImmediateRefusal(lastError) ? 'urgent' : 'fast';
  }
  return tally.health === 'down' && now - tally.since < FAST_AFTER_FALL_MS ? 'fast' : 'normal';
}

export function probeIntervalMs(pace: ProbeInterval, check: HealthCheck): number {
  if (pace === 'normal') return check.interval;
  return pace === 'fast' ? check.fastInterval : Math.min(URGENT_MS, check.fastInterval);
}

import type { HealthCheck } from '../../shared/config/config.ts';
import { elapsedMs } from '../../shared/elapsed.ts';
import { type HealthCounter, isUndecided } from '../judge/health-counter.ts';
import { isImmediateRefusal } from './errors.ts';

/** The interval between the starts of two probes. */
export type ProbeInterval = 'normal' | 'fast' | 'urgent';

/** For an instance that refuses or closes connections and is about to go down. */
const URGENT_MS = 100;
/** After a fall the fast interval lasts this long, because most instances return after a restart. */
const FAST_AFTER_FALL_MS = 60_000;

export function probeIntervalFor(
  counter: HealthCounter,
  lastError: string | undefined,
  now: number,
): ProbeInterval {
  if (isUndecided(counter)) {
    // Urgent only for an instance that refuses at once; a silent one takes its timeout anyway.
    return counter.health === 'up' && isImmediateRefusal(lastError) ? 'urgent' : 'fast';
  }
  return counter.health === 'down' && elapsedMs(counter.since, now) < FAST_AFTER_FALL_MS ? 'fast' : 'normal';
}

export function probeIntervalMs(interval: ProbeInterval, check: HealthCheck): number {
  if (interval === 'normal') return check.interval;
  return interval === 'fast' ? check.fastInterval : Math.min(URGENT_MS, check.fastInterval);
}

import type { HealthCheck } from '../../shared/config/config.ts';
import { elapsedMs } from '../../shared/elapsed.ts';
import { isUndecided } from '../judge/health-counter.ts';
import type { InstanceRecord } from '../judge/instance-record.ts';
import { isImmediateRefusal } from './errors.ts';

/** The interval between the starts of two probes. */
export type ProbeInterval = 'normal' | 'fast' | 'urgent';

/** For an instance that refuses or closes connections and is about to go down, or that may hang. */
const URGENT_MS = 100;
/** After a fall the fast interval lasts this long, because most instances return after a restart. */
const FAST_AFTER_FALL_MS = 60_000;

type ProbedRecord = Pick<InstanceRecord, 'tally' | 'stuck' | 'suspicion' | 'instance' | 'outlier'>;

export function probeIntervalFor(
  { tally, stuck, suspicion, instance, outlier }: ProbedRecord,
  now: number,
): ProbeInterval {
  if (tally.health === 'up' && (stuck || suspicion)) return 'urgent';
  if (isUndecided(tally)) {
    // Urgent only for an instance that refuses at once; a silent one takes its timeout anyway.
    return tally.health === 'up' && isImmediateRefusal(instance.lastProbe?.error) ? 'urgent' : 'fast';
  }
  // Probes show whether it is slow for everyone, and when it has recovered.
  if (outlier.state !== 'normal' || outlier.strikes > 0) return 'fast';
  return tally.health === 'down' && elapsedMs(tally.since, now) < FAST_AFTER_FALL_MS ? 'fast' : 'normal';
}

export function probeIntervalMs(interval: ProbeInterval, check: HealthCheck): number {
  if (interval === 'normal') return check.interval;
  return interval === 'fast' ? check.fastInterval : Math.min(URGENT_MS, check.fastInterval);
}

import type { Health, ProbeResult } from '../core/state.ts';

/** Counts probe results as HAProxy does (rise and fall): a contrary result resets the count. */
export interface HealthCounter {
  health: Health;
  /** Consecutive passed probes; a failure resets them. */
  passes: number;
  /** Consecutive failed probes; a pass resets them. */
  failures: number;
  /** When the newest counted probe started. A probe that started earlier but ended later is ignored. */
  newest: number;
  /** When `health` last changed, epoch ms. */
  since: number;
  /** The latest probe results, for people. */
  because: string;
}

export const newHealthCounter = (now: number): HealthCounter => ({
  health: 'unknown',
  passes: 0,
  failures: 0,
  newest: 0,
  since: now,
  because: 'not probed yet',
});

export function countProbe(
  counter: HealthCounter,
  probe: ProbeResult,
  limits: { rise: number; fall: number },
): HealthCounter {
  const startedAt = probe.at - probe.latencyMs;
  // A counted probe that started after this one ended means that the clock was set back: this one is newer.
  if (startedAt < counter.newest && counter.newest <= probe.at) return counter;
  const passes = probe.ok ? counter.passes + 1 : 0;
  const failures = probe.ok ? 0 : counter.failures + 1;
  const next = { ...counter, passes, failures, newest: startedAt };
  const error = probe.error ?? 'unknown error';

  if (probe.ok && counter.health !== 'up') {
    const because = `${Math.min(passes, limits.rise)} of ${limits.rise} probes passed`;
    return passes >= limits.rise
      ? { ...next, health: 'up', since: probe.at, because }
      : {
          ...next,
          because: counter.health === 'down' ? `recovering: ${because}` : `not yet healthy: ${because}`,
        };
  }
  if (!probe.ok && counter.health !== 'down') {
    const because = `${Math.min(failures, limits.fall)} of ${limits.fall} probes failed: ${error}`;
    return failures >= limits.fall
      ? { ...next, health: 'down', since: probe.at, because }
      : { ...next, because };
  }
  if (probe.ok) return { ...next, because: `${limits.rise} of ${limits.rise} probes passed` };
  return { ...next, because: `${limits.fall} of ${limits.fall} probes failed: ${error}` };
}

/** Whether the next probes may change `health`; they are then sent at the fast interval. */
export function isUndecided(counter: HealthCounter): boolean {
  if (counter.health === 'unknown') return true;
  return counter.health === 'up' ? counter.failures > 0 : counter.passes > 0;
}

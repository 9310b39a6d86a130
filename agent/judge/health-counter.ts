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
  return probe.ok
    ? countPass(
        { ...counter, passes: counter.passes + 1, failures: 0, newest: startedAt },
        probe,
        limits.rise,
      )
    : countFailure(
        { ...counter, passes: 0, failures: counter.failures + 1, newest: startedAt },
        probe,
        limits.fall,
      );
}

function countPass(counter: HealthCounter, probe: ProbeResult, rise: number): HealthCounter {
  const { health, passes } = counter;
  if (health === 'up') return { ...counter, because: `${rise} of ${rise} probes passed` };
  const because = `${Math.min(passes, rise)} of ${rise} probes passed`;
  if (passes >= rise) return { ...counter, health: 'up', since: probe.at, because };
  return { ...counter, because: `${health === 'down' ? 'recovering' : 'not yet healthy'}: ${because}` };
}

function countFailure(counter: HealthCounter, probe: ProbeResult, fall: number): HealthCounter {
  const { health, failures } = counter;
  const error = probe.error ?? 'unknown error';
  if (health === 'down') return { ...counter, because: `${fall} of ${fall} probes failed: ${error}` };
  const because = `${Math.min(failures, fall)} of ${fall} probes failed: ${error}`;
  if (failures >= fall) return { ...counter, health: 'down', since: probe.at, because };
  return { ...counter, because };
}

/** The verdict that an instance hangs. It does not wait for full probe timeouts. */
export const hungCounter = (counter: HealthCounter, because: string, now: number): HealthCounter => ({
  ...counter,
  health: 'down',
  passes: 0,
  since: now,
  because,
});

/** Whether the next probes may change `health`; they are then sent at the fast interval. */
export function isUndecided(counter: HealthCounter): boolean {
  if (counter.health === 'unknown') return true;
  return counter.health === 'up' ? counter.failures > 0 : counter.passes > 0;
}

import type { Health, ProbeResult } from '../core/state.ts';

/** Health by rise and fall, as HAProxy judges it: so many results in a row, one contrary result starts over. */
export interface HealthCounter {
  health: Health;
  /** Results in a row that speak against `health`; for `unknown`, passes and failures are both counted. */
  passes: number;
  failures: number;
  /** When the newest judged probe began: a probe that began earlier but ended later is old news. */
  newest: number;
  /** Epoch ms of the last change of `health`. */
  since: number;
  /** What the probes said when `health` last changed, or say now. */
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
  tally: HealthCounter,
  probe: ProbeResult,
  limits: { rise: number; fall: number },
): HealthCounter {
  const began = probe.at - probe.latencyMs;
  // A judged probe that began after this one ended: the clock was set back, and this is the newer one.
  if (began < tally.newest && tally.newest <= probe.at) return tally;
  const passes = probe.ok ? tally.passes + 1 : 0;
  const failures = probe.ok ? 0 : tally.failures + 1;
  const next = { ...tally, passes, failures, newest: began };
  const error = probe.error ?? 'no reason given';

  if (probe.ok && tally.health !== 'up') {
    const because = `${Math.min(passes, limits.rise)} of ${limits.rise} probes passed`;
    return passes >= limits.rise
      ? { ...next, health: 'up', since: probe.at, because }
      : {
          ...next,
          because: tally.health === 'down' ? `coming back: ${because}` : `not proven yet: ${because}`,
        };
  }
  if (!probe.ok && tally.health !== 'down') {
    const because = `${Math.min(failures, limits.fall)} of ${limits.fall} probes failed: ${error}`;
    return failures >= limits.fall
      ? { ...next, health: 'down', since: probe.at, because }
      : { ...next, because };
  }
  if (probe.ok) return { ...next, because: `${limits.rise} of ${limits.rise} probes passed` };
  return { ...next, because: `${limits.fall} of ${limits.fall} probes failed: ${error}` };
}

/** Between two verdicts: the next probes decide, so they come fast. */
export function isUndecided(tally: HealthCounter): boolean {
  if (tally.health === 'unknown') return true;
  return tally.health === 'up' ? tally.failures > 0 : tally.passes > 0;
}

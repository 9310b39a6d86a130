/** Recognizes a probe that takes far longer than usual, long before its timeout. */

const PASS_TIMES = 5;
const MIN_LATE_MS = 250;
const LATE_FACTOR = 10;
/** A timer that fires later than this shows that this process is overloaded. */
const MAX_OWN_DELAY_MS = 100;

/** Durations of the last passed probes with one more, milliseconds. */
export const addPassTime = (times: readonly number[], ms: number): readonly number[] =>
  [...times, ms].slice(-PASS_TIMES);

/** A probe is late after ten times its usual duration. Null: that is not known, or not less than its timeout. */
export function lateAfterMs(passTimes: readonly number[], timeoutMs: number): number | null {
  const usual = passTimes.toSorted((a, b) => a - b)[Math.floor(passTimes.length / 2)];
  if (usual === undefined) return null;
  const late = Math.max(MIN_LATE_MS, LATE_FACTOR * usual);
  return late < timeoutMs ? late : null;
}

/** Whether the agent was too busy to notice an answer that may have come in time. */
export const isOwnDelay = (waitedMs: number, expectedMs: number): boolean =>
  waitedMs > expectedMs + MAX_OWN_DELAY_MS;

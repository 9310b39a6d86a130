/** A wall clock that is corrected gradually moves less than this between two readings. */
const SMALLEST_STEP_MS = 500;

export interface ClockSteps {
  /** By how much the wall clock was set since the last call, in milliseconds; 0 if it was not set. */
  take(): number;
}

/**
 * Compares the wall clock with a monotonic one. A suspended host counts as a step too, because its monotonic clock stands
 * still.
 */
export function createClockSteps(wall: () => number, monotonic: () => number): ClockSteps {
  let offset = wall() - monotonic();
  return {
    take() {
      const previous = offset;
      offset = wall() - monotonic();
      const step = offset - previous;
      return Math.abs(step) < SMALLEST_STEP_MS ? 0 : step;
    },
  };
}

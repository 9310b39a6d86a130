/**
 * Milliseconds between `since` and `now` on a wall clock that may be set back. An instant in the future counts by its
 * distance: a wait of W milliseconds then ends after at most 2 W, however far the clock was set back.
 */
export const elapsedMs = (since: number, now: number): number => Math.abs(now - since);

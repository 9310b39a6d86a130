/** The table that a series is read from. */
export type SeriesSource = 'minutes' | 'hours' | 'days';

/** Epoch seconds; `from` is a multiple of `step`, and the steps cover [from, to). */
export interface SeriesRange {
  from: number;
  to: number;
  step: number;
  source: SeriesSource;
}

export const MAX_POINTS = 300;
/** How long minutes of instances are kept after their hour is rolled up. */
export const MINUTE_RETENTION_DAYS = 3;

const MINUTE = 60;
const HOUR = 3_600;
const DAY = 86_400;

/** Steps that divide a day, so that a step begins at a full hour or day, and whole days. */
const STEPS: readonly { source: SeriesSource; step: number }[] = [
  ...[1, 2, 5].map((minutes) => ({ source: 'minutes' as const, step: minutes * MINUTE })),
  ...[1, 3, 6].map((hours) => ({ source: 'hours' as const, step: hours * HOUR })),
  ...[1, 2, 7].map((days) => ({ source: 'days' as const, step: days * DAY })),
];

/** The finest table and step that still have all of the range, in at most MAX_POINTS points. */
export function seriesRange(from: number, to: number, now: number): SeriesRange {
  const oldestMinute = now - MINUTE_RETENTION_DAYS * DAY;
  const fits = ({ source, step }: (typeof STEPS)[number]): boolean =>
    pointsOf(from, to, step) <= MAX_POINTS && (source !== 'minutes' || from >= oldestMinute);
  const { source, step } = STEPS.find(fits) ?? { source: 'days', step: 7 * DAY };
  return { from: Math.floor(from / step) * step, to, step, source };
}

const pointsOf = (from: number, to: number, step: number): number =>
  Math.ceil(to / step) - Math.floor(from / step);

/** The start of each step, epoch seconds. */
export function stepsOf({ from, to, step }: SeriesRange): number[] {
  return Array.from({ length: Math.max(1, pointsOf(from, to, step)) }, (_, index) => from + index * step);
}

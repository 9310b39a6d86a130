import { type RuleReading, readRules } from './rules.ts';
import { lowIsBad } from './severity.ts';
import type { SiteSummary } from './summary.ts';

/** The reading of a rule over the whole window, and what the newest part of the window says about the present. */
export interface MeasuredReading extends RuleReading {
  /** The better of both values, where the newest part has samples. Null: only the whole window counts. */
  recent?: { value: number; detail: string; isRecent: boolean } | null;
  /** The whole window passed without a request: nothing can fail or be slow. */
  idle?: boolean;
}

/** Enough samples in the newest part of the window to say that a problem is over. */
const RECENT_SAMPLES = 3;

/**
 * A value counts only while the present is bad as well. So an alert describes the present, an incident that has ended
 * raises no alert, and a recovery shows as soon as the newest part of the window is good.
 */
export function readMeasured(
  whole: SiteSummary,
  newest: SiteSummary | null,
  { minimumSamples, window }: { minimumSamples: number; window: number },
): MeasuredReading[] {
  const readings = readRules(whole, minimumSamples);
  const recent = newest ? readRules(newest, Math.min(minimumSamples, RECENT_SAMPLES)) : [];
  const full = whole.windowSeconds * 1000 >= window;
  const quiet = new Set(
    whole.services.filter((each) => each.requests === 0 && each.latencySamples === 0).map(({ id }) => id),
  );
  return readings.map((reading, index) => ({
    ...reading,
    recent: better(reading, recent[index]),
    idle: full && reading.value === null && quiet.has(reading.service),
  }));
}

function better(
  whole: RuleReading,
  newest: RuleReading | undefined,
): NonNullable<MeasuredReading['recent']> | null {
  if (whole.value === null || !newest || newest.value === null) return null;
  const newestIsBetter = lowIsBad(whole.rule) ? newest.value > whole.value : newest.value < whole.value;
  const { value, detail } = newestIsBetter ? newest : whole;
  return value === null ? null : { value, detail, isRecent: true };
}

import type { BreakerState } from './snapshot/snapshot.ts';

/**
 * A circuit breaker over counted calls, with resilience4j's semantics: a sliding time window, rates compared with
 * `>=`, no judgement below `minimumCalls`, a half-open phase judged by the same thresholds, and an open time that
 * doubles with every failed half-open up to a cap. Pure: instants (epoch milliseconds) are arguments.
 *
 * The window expires by time, never by call count: after an idle hour one failure meets an empty window.
 */
export type Breaker =
  | { state: 'closed'; buckets: readonly Bucket[] }
  | { state: 'open'; openedAt: number; until: number; openings: number; why: string }
  | { state: 'half_open'; since: number; openings: number; counts: Counts };

/** `slow` calls may also be failures; each call counts once in `calls`. */
export interface Counts {
  calls: number;
  failures: number;
  slow: number;
}

interface Bucket extends Counts {
  /** Which slice of time: `floor(now / width)`. */
  slice: number;
}

/** Rates are fractions 0–1, times milliseconds. */
export interface BreakerLimits {
  failureRate: number;
  slowCallRate: number;
  slowCall: number;
  window: number;
  minimumCalls: number;
  openFor: number;
  maxOpenFor: number;
  halfOpenCalls: number;
}

/** The window moves in steps of a tenth of its length. */
const SLICES = 10;
const NOTHING: Counts = { calls: 0, failures: 0, slow: 0 };

export const closedBreaker = (): Breaker => ({ state: 'closed', buckets: [] });
export const breakerState = (breaker: Breaker): BreakerState => breaker.state;

/** Time alone: an open breaker whose time is up becomes half-open. Returns the same object when nothing changes. */
export function advanceBreaker(breaker: Breaker, now: number): Breaker {
  if (breaker.state !== 'open' || now < breaker.until) return breaker;
  return { state: 'half_open', since: now, openings: breaker.openings, counts: NOTHING };
}

/** Counts calls and judges. Calls that end while the breaker is open are stragglers and prove nothing. */
export function recordCalls(before: Breaker, counts: Counts, limits: BreakerLimits, now: number): Breaker {
  const breaker = advanceBreaker(before, now);
  if (counts.calls === 0 || breaker.state === 'open') return breaker;
  if (breaker.state === 'half_open') return judgeTrial(breaker, add(breaker.counts, counts), limits, now);

  const buckets = addToWindow(breaker.buckets, counts, limits.window, now);
  const total = buckets.reduce<Counts>(add, NOTHING);
  const why = verdict(total, limits, limits.minimumCalls);
  return why ? open(1, why, limits, now) : { state: 'closed', buckets };
}

/** What the window holds at `now`; for reasons, metrics and tests. */
export function windowCounts(breaker: Breaker, limits: BreakerLimits, now: number): Counts {
  if (breaker.state === 'open') return NOTHING;
  if (breaker.state === 'half_open') return breaker.counts;
  return live(breaker.buckets, limits.window, now).reduce<Counts>(add, NOTHING);
}

function judgeTrial(
  breaker: Extract<Breaker, { state: 'half_open' }>,
  counts: Counts,
  limits: BreakerLimits,
  now: number,
): Breaker {
  const enough = Math.min(limits.halfOpenCalls, limits.minimumCalls);
  if (counts.calls < enough) return { ...breaker, counts };
  const why = verdict(counts, limits, enough);
  return why ? open(breaker.openings + 1, `on trial ${why}`, limits, now) : closedBreaker();
}

function open(openings: number, why: string, limits: BreakerLimits, now: number): Breaker {
  const openFor = Math.min(limits.openFor * 2 ** (openings - 1), limits.maxOpenFor);
  return { state: 'open', openedAt: now, until: now + openFor, openings, why };
}

/** Why the breaker must open, in words, or null. A rate of zero calls is never "too high". */
function verdict(counts: Counts, limits: BreakerLimits, minimumCalls: number): string | null {
  const { calls, failures, slow } = counts;
  if (calls < minimumCalls) return null;
  if (failures > 0 && failures / calls >= limits.failureRate) return `${failures} of ${calls} calls failed`;
  if (slow > 0 && slow / calls >= limits.slowCallRate) {
    return `${slow} of ${calls} calls took longer than ${limits.slowCall / 1000} s`;
  }
  return null;
}

function addToWindow(buckets: readonly Bucket[], counts: Counts, window: number, now: number): Bucket[] {
  const slice = Math.floor(now / (window / SLICES));
  const kept = live(buckets, window, now);
  const last = kept.at(-1);
  if (last && last.slice >= slice) {
    // A clock that steps back adds to the newest slice rather than reviving an old one.
    return [...kept.slice(0, -1), { slice: last.slice, ...add(last, counts) }];
  }
  return [...kept, { slice, ...counts }];
}

const live = (buckets: readonly Bucket[], window: number, now: number): Bucket[] => {
  const slice = Math.floor(now / (window / SLICES));
  return buckets.filter((bucket) => bucket.slice > slice - SLICES);
};

const add = (a: Counts, b: Counts): Counts => ({
  calls: a.calls + b.calls,
  failures: a.failures + b.failures,
  slow: a.slow + b.slow,
});

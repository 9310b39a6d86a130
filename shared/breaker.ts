import type { BreakerState } from './snapshot/snapshot.ts';

/**
 * A circuit breaker over counted calls, with resilience4j's semantics: a sliding time window, rates compared with
 * `>=`, no judgement below `minimumCalls`, a half-open phase judged by the same thresholds, and an open time that
 * doubles with every failed half-open up to a cap. Pure: instants (epoch milliseconds) are arguments.
 *
 * The window expires by time, never by call count: after an idle hour one failure meets an empty window.
 */
export type Breaker =
  | { state: 'closed'; buckets: readonly WindowBucket[] }
  | { state: 'open'; openedAt: number; until: number; openings: number; cause: OpenCause; why: string }
  | { state: 'half_open'; since: number; openings: number; cause: OpenCause; counts: CallCounts };

type OpenCause = 'failures' | 'slowness';

/**
 * Each call counts once in `calls`; a slow one may also be a failure. Who counts calls need not be who times them, so
 * slowness is judged over the `timed` ones alone; where all are timed that is resilience4j's rate.
 */
export interface CallCounts {
  calls: number;
  failures: number;
  timed: number;
  slow: number;
}

interface WindowBucket extends CallCounts {
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
const NOTHING: CallCounts = { calls: 0, failures: 0, timed: 0, slow: 0 };

export const closedBreaker = (): Breaker => ({ state: 'closed', buckets: [] });
export const breakerState = (breaker: Breaker): BreakerState => breaker.state;

/**
 * Time alone: an open breaker whose time is up becomes half-open. Returns the same object when nothing changes. A clock
 * that was set back by hours keeps nothing open for hours: what would last twice its time is over.
 */
export function advanceBreaker(breaker: Breaker, now: number): Breaker {
  if (breaker.state !== 'open') return breaker;
  const left = breaker.until - now;
  if (left > 0 && left <= 2 * (breaker.until - breaker.openedAt)) return breaker;
  const { openings, cause } = breaker;
  return { state: 'half_open', since: now, openings, cause, counts: NOTHING };
}

/** Counts calls and judges. Calls that end while the breaker is open are stragglers and prove nothing. */
export function recordCalls(
  before: Breaker,
  counts: CallCounts,
  limits: BreakerLimits,
  now: number,
): Breaker {
  const breaker = advanceBreaker(before, now);
  if ((counts.calls === 0 && counts.timed === 0) || breaker.state === 'open') return breaker;
  if (breaker.state === 'half_open') return judgeTrial(breaker, add(breaker.counts, counts), limits, now);

  const buckets = addToWindow(breaker.buckets, counts, limits.window, now);
  const total = buckets.reduce<CallCounts>(add, NOTHING);
  const verdict = judge(total, limits, limits.minimumCalls);
  return verdict ? open(1, verdict, limits, now) : { state: 'closed', buckets };
}

/** What the window holds at `now`; for reasons, metrics and tests. */
export function windowCounts(breaker: Breaker, limits: BreakerLimits, now: number): CallCounts {
  if (breaker.state === 'open') return NOTHING;
  if (breaker.state === 'half_open') return breaker.counts;
  return live(breaker.buckets, limits.window, now).reduce<CallCounts>(add, NOTHING);
}

function judgeTrial(
  breaker: Extract<Breaker, { state: 'half_open' }>,
  counts: CallCounts,
  limits: BreakerLimits,
  now: number,
): Breaker {
  const enough = Math.min(limits.halfOpenCalls, limits.minimumCalls);
  // What opened for slowness is not closed by calls whose time nobody told yet.
  const seen = breaker.cause === 'slowness' ? counts.timed : counts.calls;
  const verdict = judge(counts, limits, enough);
  if (verdict) return open(breaker.openings + 1, { ...verdict, why: `on trial ${verdict.why}` }, limits, now);
  return seen < enough ? { ...breaker, counts } : closedBreaker();
}

function open(
  openings: number,
  verdict: { cause: OpenCause; why: string },
  limits: BreakerLimits,
  now: number,
): Breaker {
  const openFor = Math.min(limits.openFor * 2 ** (openings - 1), limits.maxOpenFor);
  return { state: 'open', openedAt: now, until: now + openFor, openings, ...verdict };
}

/** Why the breaker must open, or null. No failure, or nothing slow, is never "too much". */
function judge(
  counts: CallCounts,
  limits: BreakerLimits,
  minimum: number,
): { cause: OpenCause; why: string } | null {
  const { calls, failures, timed, slow } = counts;
  if (calls >= minimum && failures > 0 && failures / calls >= limits.failureRate) {
    return { cause: 'failures', why: `${failures} of ${calls} calls failed` };
  }
  if (timed >= minimum && slow > 0 && slow / timed >= limits.slowCallRate) {
    return {
      cause: 'slowness',
      why: `${slow} of ${timed} calls took longer than ${limits.slowCall / 1000} s`,
    };
  }
  return null;
}

function addToWindow(
  buckets: readonly WindowBucket[],
  counts: CallCounts,
  window: number,
  now: number,
): WindowBucket[] {
  const slice = Math.floor(now / (window / SLICES));
  const kept = live(buckets, window, now);
  const last = kept.at(-1);
  if (last && last.slice >= slice) {
    // A clock that steps back a little adds to the newest slice rather than reviving an old one.
    return [...kept.slice(0, -1), { slice: last.slice, ...add(last, counts) }];
  }
  return [...kept, { slice, ...counts }];
}

/** What lies a window or more ahead was counted before the clock was set back: nobody knows how old it is. */
const live = (buckets: readonly WindowBucket[], window: number, now: number): WindowBucket[] => {
  const slice = Math.floor(now / (window / SLICES));
  return buckets.filter((bucket) => Math.abs(bucket.slice - slice) < SLICES);
};

const add = (a: CallCounts, b: CallCounts): CallCounts => ({
  calls: a.calls + b.calls,
  failures: a.failures + b.failures,
  timed: a.timed + b.timed,
  slow: a.slow + b.slow,
});

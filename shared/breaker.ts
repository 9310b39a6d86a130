import type { BreakerPolicy } from './config/config.ts';

/**
 * A circuit breaker over counted calls, with the semantics of resilience4j: a sliding time window, rates compared with
 * `>=`, no decision below `minimumCalls`, and a half-open phase with the same thresholds. It counts calls and admits
 * all; `slowStartShare` in balance/pool.ts limits the traffic of a half-open instance. The open time doubles with every
 * failed half-open phase, up to `maxOpenFor`. Instants are epoch milliseconds.
 */
export type Breaker =
  | { state: 'closed'; buckets: readonly WindowBucket[] }
  | { state: 'open'; openedAt: number; until: number; openings: number; cause: OpenCause; why: string }
  | { state: 'half_open'; since: number; openings: number; cause: OpenCause; counts: CallCounts };

type OpenCause = 'failures' | 'slowness';

/**
 * A call may be both slow and a failure. Some sources count calls without their duration, so the slow rate is
 * `slow / timed`. When all calls are timed, it is the rate of resilience4j.
 */
interface CallCounts {
  calls: number;
  failures: number;
  timed: number;
  slow: number;
}

interface WindowBucket extends CallCounts {
  /** Number of the time slice: `floor(now / sliceMs)`. */
  slice: number;
}

/** Time slices per window. */
const SLICES = 10;
const NOTHING: CallCounts = { calls: 0, failures: 0, timed: 0, slow: 0 };

export const closedBreaker = (): Breaker => ({ state: 'closed', buckets: [] });

/**
 * An open breaker becomes half-open when its open time ends, or when twice that time is left: then the clock was set
 * back. Returns the same object when nothing changes.
 */
export function advanceBreaker(breaker: Breaker, now: number): Breaker {
  if (breaker.state !== 'open') return breaker;
  const left = breaker.until - now;
  if (left > 0 && left <= 2 * (breaker.until - breaker.openedAt)) return breaker;
  const { openings, cause } = breaker;
  return { state: 'half_open', since: now, openings, cause, counts: NOTHING };
}

/** The same breaker after the wall clock was set by `ms`. `window` is the policy's. */
export function shiftBreaker(breaker: Breaker, ms: number, window: number): Breaker {
  switch (breaker.state) {
    case 'closed': {
      const slices = Math.round(ms / (window / SLICES));
      return { ...breaker, buckets: breaker.buckets.map((one) => ({ ...one, slice: one.slice + slices })) };
    }
    case 'open':
      return { ...breaker, openedAt: breaker.openedAt + ms, until: breaker.until + ms };
    case 'half_open':
      return { ...breaker, since: breaker.since + ms };
  }
}

/** Adds finished calls and decides the next state. Calls that finish while the breaker is open are ignored. */
export function recordCalls(
  before: Breaker,
  counts: CallCounts,
  policy: BreakerPolicy,
  now: number,
): Breaker {
  const breaker = advanceBreaker(before, now);
  if ((counts.calls === 0 && counts.timed === 0) || breaker.state === 'open') return breaker;
  if (breaker.state === 'half_open') return judgeTrial(breaker, add(breaker.counts, counts), policy, now);

  const buckets = addToWindow(breaker.buckets, counts, policy.window, now);
  const total = buckets.reduce<CallCounts>(add, NOTHING);
  const verdict = judge(total, policy, policy.minimumCalls);
  return verdict ? open(1, verdict, policy, now) : { state: 'closed', buckets };
}

function judgeTrial(
  breaker: Extract<Breaker, { state: 'half_open' }>,
  counts: CallCounts,
  policy: BreakerPolicy,
  now: number,
): Breaker {
  const enough = Math.min(policy.halfOpenCalls, policy.minimumCalls);
  // A breaker that opened for slowness closes only after enough timed calls.
  const seen = breaker.cause === 'slowness' ? counts.timed : counts.calls;
  const verdict = judge(counts, policy, enough);
  if (verdict) return open(breaker.openings + 1, { ...verdict, why: `on trial ${verdict.why}` }, policy, now);
  return seen < enough ? { ...breaker, counts } : closedBreaker();
}

function open(
  openings: number,
  verdict: { cause: OpenCause; why: string },
  policy: BreakerPolicy,
  now: number,
): Breaker {
  const openFor = Math.min(policy.openFor * 2 ** (openings - 1), policy.maxOpenFor);
  return { state: 'open', openedAt: now, until: now + openFor, openings, ...verdict };
}

/** Why the breaker must open, or null. A threshold of 0 still needs one failure or one slow call. */
function judge(
  counts: CallCounts,
  policy: BreakerPolicy,
  minimum: number,
): { cause: OpenCause; why: string } | null {
  const { calls, failures, timed, slow } = counts;
  if (calls >= minimum && failures > 0 && failures / calls >= policy.failureRate) {
    return { cause: 'failures', why: `${failures} of ${calls} calls failed` };
  }
  if (timed >= minimum && slow > 0 && slow / timed >= policy.slowCallRate) {
    return {
      cause: 'slowness',
      why: `${slow} of ${timed} calls took longer than ${policy.slowCall / 1000} s`,
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
    // After a small step back of the clock, the newest slice takes the calls.
    return [...kept.slice(0, -1), { slice: last.slice, ...add(last, counts) }];
  }
  return [...kept, { slice, ...counts }];
}

/** Drops slices older than the window, and slices in the future: the clock was set back and their age is unknown. */
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

import {
  mergeOptionalSketch,
  type Sketch,
  sketchCountAbove,
  sketchQuantile,
} from '../../../shared/sketch.ts';
import { mediansOfOthers } from '../latency-weight.ts';
import { addCounts, type EvidenceCounts, NO_COUNTS } from './evidence.ts';

/** Thresholds of the comparison. Times in milliseconds, rates 0–1. */
export interface OutlierLimits {
  /** Slow: this many times the peers' latency … */
  readonly slowRatio: number;
  /** … and at least this much above it. */
  readonly slowBy: number;
  /** Failing: at least this rate, and five times the peers'. */
  readonly failureRate: number;
}

export type OutlierCause = 'broken' | 'failing' | 'stalling' | 'slow';

/** One instance against its peers. */
export type Comparison =
  /** Too little traffic, here or at the peers, for a judgement. */
  | { kind: 'unknown' }
  /** Mostly bad, in so few attempts that chance may explain it: no proof, and no sign of recovery. */
  | { kind: 'doubtful' }
  | { kind: 'alike' }
  /** `evidence` is for a person: "p50 812 ms, peers 5 ms". */
  | {
      kind: 'worse';
      cause: OutlierCause;
      evidence: string;
      /** The evidence is strong: the share falls to the floor at once, or a failing instance is taken out. */
      severe: boolean;
    };

/** Fewer attempts than this are chance. */
const MIN_CALLS = 5;
/** Fewer answers than this have no 99th percentile. */
const MIN_TAIL = 50;
const MIN_BAD = 3;
/** How much more often than its peers an instance must fail. */
const RATIO = 5;
/** Severe: at least this many failures and this rate, or so many times the limit of slowness. */
const SEVERE_FAILURES = 10;
const SEVERE_RATE = 0.25;
const SEVERE_SLOWNESS = 2;
/** Events added to those of the peers, because peers without events prove little when they had few calls. */
const PRIOR_EVENTS = 1.5;
const PRIOR_CALLS = 50;
/**
 * Standard deviations of the Poisson distribution, plus additional events: chance exceeds this less than once a month.
 */
const SIGMAS = 5;
const MARGIN = 2.5;
/** Share of stalled or abandoned requests from which an instance stalls. */
const STALL_SHARE = 0.03;

/** Events of a kind among the attempts that could have been one. */
interface EventRate {
  readonly events: number;
  readonly of: number;
}

interface StallRate extends EventRate {
  /**
   * One slow request can be late or abandoned at two instances, so half as many of these are independent. An attempt that
   * waited for seconds was not hedged.
   */
  readonly independent: number;
}

/** Summary of the peers of one instance. */
interface PeerSummary {
  readonly failures: EventRate;
  readonly broken: EventRate;
  /** Attempts given up, stopped, or far slower than the peers' slowest. */
  readonly stalled: StallRate;
  /** The medians of each peer's percentiles. */
  readonly p50: number | null;
  /** Upper bound of their medians, given the number of samples. */
  readonly p50AtMost: number | null;
  readonly p99: number | null;
}

interface Measured {
  readonly counts: EvidenceCounts;
  /** Over a longer time. */
  readonly tail: EvidenceCounts;
  readonly p50: number | null;
  readonly p50AtMost: number | null;
  readonly p99: number | null;
}

/**
 * Compares every instance of one service with all the others. The median of the *others* is the yardstick, so a slow
 * instance cannot move it, and when all are slow together none is an outlier. `tails`: counts over a longer time, in
 * which rare stalls show. O(n log n).
 */
export function compareInstances(
  all: readonly EvidenceCounts[],
  limits: OutlierLimits,
  tails: readonly EvidenceCounts[] = all,
): Comparison[] {
  const measured = all.map((counts, index) => measure(counts, tails[index] ?? counts));
  const p50s = mediansOfOthers(measured.map(({ p50 }) => p50));
  const p50sAtMost = mediansOfOthers(measured.map(({ p50AtMost }) => p50AtMost));
  const p99s = mediansOfOthers(measured.map(({ p99 }) => p99));
  const failures = ratesOfOthers(all.map(failureRate));
  const broken = ratesOfOthers(all.map(brokenRate));
  const total = tails.reduce<Sketch | null>((sum, { latency }) => mergeOptionalSketch(sum, latency), null);
  const tail = tails.reduce((sum, counts) => addCounts(sum, { ...counts, latency: null }), NO_COUNTS);
  const busy = all.filter(isBusy).length;
  return measured.map((one, index) => {
    // Two peers to compare with, or the only one there is.
    const compared = busy - (isBusy(one.counts) ? 1 : 0);
    if (compared < Math.min(2, all.length - 1)) return { kind: 'unknown' };
    const p99 = p99s[index] ?? null;
    const late = lateThan(total, p99, limits) - lateThan(one.tail.latency, p99, limits);
    return compareOne(
      one,
      {
        failures: failures[index] ?? NEVER,
        broken: broken[index] ?? NEVER,
        stalled: stallRate(without(tail, one.tail), late),
        p50: p50s[index] ?? null,
        p50AtMost: p50sAtMost[index] ?? null,
        p99,
      },
      limits,
    );
  });
}

/** The true median of few samples is uncertain: two deviations of the sign test lie 1/√n to either side. */
function measure(counts: EvidenceCounts, tail: EvidenceCounts): Measured {
  const samples = counts.latency?.count ?? 0;
  const hasMedian = samples >= MIN_CALLS;
  return {
    counts,
    tail,
    p50: hasMedian ? quantileOf(counts, 0.5) : null,
    p50AtMost: hasMedian ? quantileOf(counts, Math.min(1, 0.5 + 1 / Math.sqrt(samples))) : null,
    p99: samples >= MIN_TAIL ? quantileOf(counts, 0.99) : null,
  };
}

const NEVER: EventRate = { events: 0, of: 0 };
const endedOf = ({ calls, abandoned }: EvidenceCounts): number => calls + abandoned;
const failureRate = ({ failures, calls }: EvidenceCounts): EventRate => ({ events: failures, of: calls });
const brokenRate = (counts: EvidenceCounts): EventRate => ({ events: counts.broken, of: endedOf(counts) });

/** The number of answers that took far longer than the peers' slowest ones. */
const lateThan = (latency: Sketch | null, p99: number | null, limits: OutlierLimits): number =>
  latency && p99 !== null ? sketchCountAbove(latency, latencyLimit(p99, limits)) : 0;

const isSevere = ({ events, of }: EventRate): boolean =>
  events >= SEVERE_FAILURES && events / of >= SEVERE_RATE;

/**
 * For every instance the rate of the others together. Peers that fail severely do not count unless they are more than
 * half of the others. Otherwise the instances of a bad deploy would excuse each other.
 */
function ratesOfOthers(rates: readonly EventRate[]): EventRate[] {
  const sum = (some: readonly EventRate[]): EventRate =>
    some.reduce((total, { events, of }) => ({ events: total.events + events, of: total.of + of }), NEVER);
  const severe = rates.filter(isSevere);
  const everyone = sum(rates);
  const sound = sum(rates.filter((rate) => !isSevere(rate)));
  return rates.map((own) => {
    const severeOthers = severe.length - (isSevere(own) ? 1 : 0);
    const isShared = severeOthers > (rates.length - 1) / 2;
    if (!isShared && isSevere(own)) return sound;
    const of = isShared ? everyone : sound;
    return { events: of.events - own.events, of: of.of - own.of };
  });
}

function compareOne(one: Measured, peers: PeerSummary, limits: OutlierLimits): Comparison {
  const failures = failureRate(one.counts);
  const broken = brokenRate(one.counts);
  if (broken.events >= MIN_BAD && exceeds(broken, peers.broken)) {
    const evidence = `${broken.events} of ${broken.of} connections broken, peers ${percent(peers.broken)}`;
    return worse('broken', evidence, true);
  }
  if (endedOf(one.counts) < MIN_CALLS) {
    const bad = { events: one.counts.failures + one.counts.abandoned, of: endedOf(one.counts) };
    return { kind: isMostlyBad(bad, NEVER) ? 'doubtful' : 'unknown' };
  }
  const isFailing = failures.events >= MIN_BAD && failures.events / failures.of >= limits.failureRate;
  if (isFailing && exceeds(failures, peers.failures)) {
    const evidence = `${percent(failures)} failed, peers ${percent(peers.failures)}`;
    return worse('failing', evidence, isSevere(failures));
  }
  if (isMostlyBad(failures, peers.failures)) return { kind: 'doubtful' };
  return compareMedian(one, peers, limits) ?? compareTail(one.tail, peers, limits);
}

/**
 * Null: not slow. Doubtful: the median is slow, but perhaps by chance. With few samples nearly all of them must be slow,
 * because a median of five is mostly chance.
 */
function compareMedian(
  { counts, p50 }: Measured,
  peers: PeerSummary,
  limits: OutlierLimits,
): Comparison | null {
  if (p50 === null || peers.p50 === null || peers.p50AtMost === null || !counts.latency) return null;
  const limit = latencyLimit(peers.p50AtMost, limits);
  const p50AtLeast = quantileOf(counts, Math.max(0, 0.5 - 1 / Math.sqrt(counts.latency.count))) ?? 0;
  if (p50AtLeast < limit) return p50 < limit ? null : { kind: 'doubtful' };
  const evidence = `p50 ${milliseconds(p50)}, peers ${milliseconds(peers.p50)}`;
  return worse('slow', evidence, p50AtLeast >= SEVERE_SLOWNESS * limit);
}

/**
 * Requests that took far longer than the peers' slowest ones, that clients abandoned while peers answered in time, or
 * whose body stopped.
 */
function compareTail(counts: EvidenceCounts, peers: PeerSummary, limits: OutlierLimits): Comparison {
  const late = lateThan(counts.latency, peers.p99, limits);
  const stalled = stallRate(counts, late);
  const isStalling = stalled.events >= MIN_BAD && stalled.events / stalled.of >= STALL_SHARE;
  if (!isStalling || !exceeds(independent(stalled), independent(peers.stalled))) {
    return { kind: isMostlyBad(stalled, peers.stalled) ? 'doubtful' : 'alike' };
  }
  const usual = peers.p99 === null ? '' : `, peers' p99 ${milliseconds(peers.p99)}`;
  return worse('stalling', `${percent(stalled)} of requests stalled${usual}`, false);
}

const worse = (cause: OutlierCause, evidence: string, severe: boolean): Comparison => ({
  kind: 'worse',
  cause,
  evidence,
  severe,
});

/** From this latency on an instance is slow against its peers. Milliseconds. */
export const latencyLimit = (peers: number, { slowRatio, slowBy }: OutlierLimits): number =>
  Math.max(peers * slowRatio, peers + slowBy);

/** Whether events are at least five times as frequent as at the peers, and more frequent than chance explains. */
function exceeds(own: EventRate, peers: EventRate): boolean {
  if (own.of === 0 || peers.of === 0 || own.events / own.of < RATIO * (peers.events / peers.of)) return false;
  const expected = (own.of * (peers.events + PRIOR_EVENTS)) / (peers.of + PRIOR_CALLS);
  return own.events >= expected + SIGMAS * Math.sqrt(expected) + MARGIN;
}

/** At least half of its attempts, and five times as often as at the peers. */
const isMostlyBad = (own: EventRate, peers: EventRate): boolean =>
  own.events > 0 && own.events / own.of >= Math.max(0.5, RATIO * rateOf(peers));

const rateOf = ({ events, of }: EventRate): number => (of === 0 ? 0 : events / of);

const isBusy = ({ calls }: EvidenceCounts): boolean => calls >= MIN_CALLS;
const quantileOf = ({ latency }: EvidenceCounts, q: number): number | null =>
  latency ? sketchQuantile(latency, q) : null;

const stallRate = (counts: EvidenceCounts, late: number): StallRate => ({
  events: Math.max(late + counts.abandoned, counts.stopped),
  independent: Math.max((late + counts.abandoned) / 2, counts.stopped),
  of: endedOf(counts),
});

/** The counts that the tail of the peers needs. */
const without = (all: EvidenceCounts, one: EvidenceCounts): EvidenceCounts => ({
  ...NO_COUNTS,
  calls: all.calls - one.calls,
  abandoned: all.abandoned - one.abandoned,
  stopped: all.stopped - one.stopped,
});

const independent = ({ independent: events, of }: StallRate): EventRate => ({ events, of });

const percent = ({ events, of }: EventRate): string =>
  of === 0 ? '0 %' : `${Math.round((events / of) * 100)} %`;
const milliseconds = (ms: number): string => (ms < 10 ? `${ms.toFixed(1)} ms` : `${ms.toFixed(0)} ms`);

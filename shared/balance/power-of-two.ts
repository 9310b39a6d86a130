import { currentLatency } from '../latency.ts';
import type { Candidate } from './candidate.ts';
import type { Picker, PoolMember } from './picker.ts';
import { weightedDraw } from './random.ts';

/** Lower is better. `weight` is the effective weight: the operator's, times slow-start and outlier share. */
type Score = (candidate: Candidate, weight: number, now: number) => number;

/** Scores closer than this count as equal, so that noise does not decide and weights keep their meaning. */
const TIE_RATIO = 1.25;

/**
 * Power of two choices (Mitzenmacher): draws two *different* members in proportion to their effective weight; the one with
 * the lower score wins, the first drawn wins a tie. Never the best of all members: every isolate sees the same snapshot
 * and would herd onto the same instance. Never in proportion to the scores: a hung instance would keep its share.
 */
function powerOfTwo(members: readonly PoolMember[], score: Score): Picker {
  const draw = weightedDraw(members);
  if (members.length < 2) return draw;
  const weights = new Map(members.map(({ candidate, weight }) => [candidate, weight]));
  return (input) => {
    const first = draw(input);
    if (!first) return null;
    const second = draw({ ...input, skip: (candidate) => candidate === first || input.skip(candidate) });
    if (!second) return first;
    const scoreOf = (candidate: Candidate): number =>
      score(candidate, weights.get(candidate) ?? candidate.weight, input.now);
    return scoreOf(second) * TIE_RATIO < scoreOf(first) ? second : first;
  };
}

/** No sample and no measurement, but requests are waiting: the instance may be hung (Finagle's penalty). */
const PENALTY_MS = 60_000;
/** Differences below this are noise. */
const NOISE_MS = 5;
/** While this isolate has no sample, a latency from the snapshot counts only above this: a cold probe proves little. */
const TRUSTED_ABOVE_MS = 50;
const FULL_WEIGHT = 100;

/** `latency × (pending + 1)`, the latency a peak EWMA; pending requests count per unit of weight. */
function responseTimeScore({ local, latencyMs }: Candidate, weight: number, now: number): number {
  const known = currentLatency(local.latency, latencyMs, now);
  const load = (local.pending * FULL_WEIGHT) / weight + 1;
  if (known === 0) return local.pending === 0 ? NOISE_MS : PENALTY_MS * load;
  const latency = local.latency.at === 0 ? known - TRUSTED_ABOVE_MS : known;
  return Math.max(latency, NOISE_MS) * load;
}

export const leastResponseTime = (members: readonly PoolMember[]): Picker =>
  powerOfTwo(members, responseTimeScore);

/** Fewest requests in flight from this isolate, per unit of weight. */
export const leastConnections = (members: readonly PoolMember[]): Picker =>
  powerOfTwo(members, ({ local }, weight) => (local.pending * FULL_WEIGHT) / weight + TIE_BREAK);

/** Makes two idle members tie: 0 × TIE_RATIO would never be less than 0, and 1 must still lose to 0. */
const TIE_BREAK = 0.01;

import { currentLatency } from '../latency.ts';
import type { Candidate } from './candidate.ts';
import type { Picker, PickInput, PoolMember } from './picker.ts';
import { weightedDraw } from './random.ts';

/** Whether to take the second of two drawn candidates instead of the first. */
type Prefer = (second: Candidate, first: Candidate, input: PickInput) => boolean;

/**
 * Power of two choices: draws two candidates by weight and takes the better one. Taking the best of all would send every
 * isolate to the same instance, because all have the same snapshot.
 */
function powerOfTwo(members: readonly PoolMember[], prefer: Prefer): Picker {
  const draw = weightedDraw(members);
  const pair = members.length === 2 ? { a: members[0]?.candidate, b: members[1]?.candidate } : null;
  return (input) => {
    const first = draw(input);
    if (!first || members.length === 1) return first;
    // With two members, the second is the other one.
    const second = pair ? (first === pair.a ? pair.b : pair.a) : draw(input);
    if (!second || second === first || (pair && input.skip(second))) return first;
    return prefer(second, first, input) ? second : first;
  };
}

/** Score with requests in flight but no latency at all: the instance may hang (Finagle's penalty). */
const PENALTY_MS = 60_000;
/** Differences below this are noise. */
const NOISE_MS = 5;
/** Without own samples, only latency above this counts: a first probe is slow because it opens a connection. */
const TRUSTED_ABOVE_MS = 50;

/** `latency · (pending + 1)`, with the peak EWMA latency and pending requests per 100 units of weight. */
function responseTimeScore(candidate: Candidate, now: number): number {
  const { local } = candidate;
  const known = currentLatency(local.latency, candidate.latencyMs, now);
  if (known === 0) return local.pending === 0 ? NOISE_MS : PENALTY_MS + local.pending;
  const latency = local.latency.at === 0 ? known - TRUSTED_ABOVE_MS : known;
  return Math.max(latency, NOISE_MS) * ((local.pending * 100) / candidate.weight + 1);
}

/**
 * Picks one of the two in inverse proportion to their scores. Always taking the lower score would send nothing to the
 * slower one, so the isolate would not notice when it becomes faster.
 */
export const leastResponseTime = (members: readonly PoolMember[]): Picker =>
  powerOfTwo(members, (second, first, { now, random }) => {
    const firstScore = responseTimeScore(first, now);
    return random() * (firstScore + responseTimeScore(second, now)) < firstScore;
  });

/** Fewest requests in flight from this isolate per unit of weight; the first drawn on a tie. */
export const leastConnections = (members: readonly PoolMember[]): Picker =>
  powerOfTwo(
    members,
    (second, first) => second.local.pending * first.weight < first.local.pending * second.weight,
  );

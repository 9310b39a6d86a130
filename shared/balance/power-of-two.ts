import { currentLatency } from '../latency.ts';
import type { Candidate } from './candidate.ts';
import type { Picker, PickInput, PoolMember } from './picker.ts';
import { weightedDraw } from './random.ts';

/** Whether the second of two drawn should be taken instead of the first. */
type Prefer = (second: Candidate, first: Candidate, input: PickInput) => boolean;

/**
 * Power of two choices: draw two by weight, take the better. Never the best of all: every isolate sees the same
 * snapshot and would herd onto the same instance.
 */
function powerOfTwo(members: readonly PoolMember[], prefer: Prefer): Picker {
  const draw = weightedDraw(members);
  const pair = members.length === 2 ? { a: members[0]?.candidate, b: members[1]?.candidate } : null;
  return (input) => {
    const first = draw(input);
    if (!first || members.length === 1) return first;
    // Of two there is only one other, no need to draw it.
    const second = pair ? (first === pair.a ? pair.b : pair.a) : draw(input);
    if (!second || second === first || (pair && input.skip(second))) return first;
    return prefer(second, first, input) ? second : first;
  };
}

/** No sample, no measurement, but requests are waiting: it may well be hung (Finagle's penalty). */
const PENALTY_MS = 60_000;
/** Shorter latencies differ by chance. */
const NOISE_MS = 5;
/** What the agent's probes say counts from here on while this isolate has no sample: a cold first probe is no verdict. */
const TRUSTED_ABOVE_MS = 50;

/** `c · (pending + 1)`, `c` the peak EWMA; pending counts per unit of weight. */
function responseTimeScore(candidate: Candidate, now: number): number {
  const { local } = candidate;
  const known = currentLatency(local.latency, candidate.latencyMs, now);
  if (known === 0) return local.pending === 0 ? NOISE_MS : PENALTY_MS + local.pending;
  const latency = local.latency.at === 0 ? known - TRUSTED_ABOVE_MS : known;
  return Math.max(latency, NOISE_MS) * ((local.pending * 100) / candidate.weight + 1);
}

/**
 * The two share in inverse proportion to their scores. Taking the lower one always would give nothing to the second
 * fastest of two, and so never notice that it has become the faster: one peak would decide for τ.
 */
export const leastResponseTime = (members: readonly PoolMember[]): Picker =>
  powerOfTwo(members, (second, first, { now, random }) => {
    const firstScore = responseTimeScore(first, now);
    return random() * (firstScore + responseTimeScore(second, now)) < firstScore;
  });

/** Fewest requests in flight from this isolate, per unit of weight; a tie keeps the weighted draw. */
export const leastConnections = (members: readonly PoolMember[]): Picker =>
  powerOfTwo(
    members,
    (second, first) => second.local.pending * first.weight < first.local.pending * second.weight,
  );

import { currentLatency } from '../latency.ts';
import type { Candidate } from './candidate.ts';
import type { Member, Picker, PickInput } from './picker.ts';
import { weightedDraw } from './random.ts';

/**
 * Power of two choices: draw two by weight, take the better. Never the best of all: every isolate sees the same
 * snapshot and would herd onto the same instance.
 */
function powerOfTwo(
  members: readonly Member[],
  better: (a: Candidate, b: Candidate, now: number) => boolean,
): Picker {
  const draw = weightedDraw(members);
  const pair = members.length === 2 ? { a: members[0], b: members[1] } : null;
  return (input) => {
    const first = draw(input);
    if (!first || members.length === 1) return first;
    const second = pair ? other(pair.a?.candidate, pair.b?.candidate, first, input) : draw(input);
    if (!second || second === first) return first;
    return better(second, first, input.now) ? second : first;
  };
}

/** Of two there is only one other, no need to draw it; it is compared in proportion to nothing but its score. */
function other(
  a: Candidate | undefined,
  b: Candidate | undefined,
  first: Candidate,
  input: PickInput,
): Candidate | null {
  const second = first === a ? b : a;
  return second && !input.skip(second) ? second : null;
}

/** No sample, no measurement, but requests are waiting: it may well be hung (Finagle's penalty). */
const PENALTY_MS = 60_000;

/** Below this, and within a quarter of each other, latencies differ by chance: without it two equal instances would
 * not share the traffic, the one that was last a little slower would get none. */
const NOISE_MS = 2;
const NOISE_RATIO = 1.25;

/** `c · (pending + 1)`, `c` the peak EWMA; pending counts per unit of weight. */
function responseTimeScore(candidate: Candidate, now: number): number {
  const { local } = candidate;
  const latency = currentLatency(local.latency, candidate.latencyMs, now);
  if (latency === 0) return local.pending === 0 ? 0 : PENALTY_MS + local.pending;
  return Math.max(latency, NOISE_MS) * ((local.pending * 100) / candidate.weight + 1);
}

export const leastResponseTime = (members: readonly Member[]): Picker =>
  powerOfTwo(members, (a, b, now) => responseTimeScore(a, now) * NOISE_RATIO < responseTimeScore(b, now));

/** Fewest requests in flight from this isolate, per unit of weight; a tie keeps the weighted draw. */
export const leastConnections = (members: readonly Member[]): Picker =>
  powerOfTwo(members, (a, b) => a.local.pending * b.weight < b.local.pending * a.weight);

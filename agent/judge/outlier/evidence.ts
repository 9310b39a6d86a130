import { addToSketch, emptySketch, mergeSketch, type Sketch } from '../../../shared/sketch.ts';

/** The results of the traffic to one instance, as counts. */
export interface EvidenceCounts {
  /** Attempts that ended. */
  readonly calls: number;
  /** Attempts that ended badly: a 5xx answer or a broken connection. */
  readonly failures: number;
  /** Of those, the ones without an answer: refused, reset, closed, truncated. */
  readonly broken: number;
  /** Attempts that the client gave up before the answer began. A hedge that lost is one of them. */
  readonly abandoned: number;
  /** Times to the first byte of ordinary answers, milliseconds. */
  readonly latency: Sketch | null;
}

/** The counts of one second. */
interface EvidenceSlice extends EvidenceCounts {
  /** `floor(epoch ms / 1000)`. */
  readonly second: number;
}

/** The evidence of the last ten seconds, oldest first. Replaced, never mutated. */
export type EvidenceWindow = readonly EvidenceSlice[];

export const WINDOW_SECONDS = 10;
export const NO_EVIDENCE: EvidenceWindow = [];
export const NO_COUNTS: EvidenceCounts = { calls: 0, failures: 0, broken: 0, abandoned: 0, latency: null };

/** Adds one delta. Drops expired slices, and slices in the future after the clock was set back. */
export function addEvidence(window: EvidenceWindow, counts: EvidenceCounts, now: number): EvidenceWindow {
  const second = Math.floor(now / 1_000);
  const kept = window.filter((slice) => Math.abs(second - slice.second) < WINDOW_SECONDS);
  const current = kept.find((slice) => slice.second === second);
  const sum = { second, ...addCounts(current ?? NO_COUNTS, counts) };
  return [...kept.filter((slice) => slice !== current), sum];
}

/** The sum of the last `seconds` seconds, the current one included. */
export function recentEvidence(
  window: EvidenceWindow,
  now: number,
  seconds = WINDOW_SECONDS,
): EvidenceCounts {
  const second = Math.floor(now / 1_000);
  const recent = window.filter((slice) => slice.second <= second && second - slice.second < seconds);
  const [only] = recent;
  return recent.length === 1 && only ? only : recent.reduce<EvidenceCounts>(addCounts, NO_COUNTS);
}

function addCounts(a: EvidenceCounts, b: EvidenceCounts): EvidenceCounts {
  return {
    calls: a.calls + b.calls,
    failures: a.failures + b.failures,
    broken: a.broken + b.broken,
    abandoned: a.abandoned + b.abandoned,
    latency: joined(a.latency, b.latency),
  };
}

function joined(a: Sketch | null, b: Sketch | null): Sketch | null {
  if (!a?.count || !b?.count) return a?.count ? a : b;
  const sum = emptySketch();
  mergeSketch(sum, a);
  mergeSketch(sum, b);
  return sum;
}

/** A sketch of the given times; for tests and the simulator. */
export function sketchOf(times: Iterable<number>): Sketch {
  const sketch = emptySketch();
  for (const ms of times) addToSketch(sketch, ms);
  return sketch;
}

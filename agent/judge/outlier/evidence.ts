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
  /** Of `calls` and `abandoned`, those that waited for seconds: for the answer, or for the rest of its body. */
  readonly stopped: number;
  /** Times to the first byte of ordinary answers in the last ten seconds, milliseconds. */
  readonly latency: Sketch | null;
}

/** The counts of one second, or of five when older than ten seconds. */
interface EvidenceSlice extends EvidenceCounts {
  /** `floor(epoch ms / 1000)`. */
  readonly second: number;
}

/** The evidence of the last 30 seconds, oldest first. Replaced, never mutated. */
export type EvidenceWindow = readonly EvidenceSlice[];

export const WINDOW_SECONDS = 10;
/** Rare events need more time than a median. Of the seconds before the last ten, the counts are kept. */
export const TAIL_SECONDS = 30;
const OLD_SLICE_SECONDS = 5;
export const NO_EVIDENCE: EvidenceWindow = [];
export const NO_COUNTS: EvidenceCounts = {
  calls: 0,
  failures: 0,
  broken: 0,
  abandoned: 0,
  stopped: 0,
  latency: null,
};

/** Adds one delta. Drops expired slices, and slices in the future after the clock was set back. */
export function addEvidence(window: EvidenceWindow, counts: EvidenceCounts, now: number): EvidenceWindow {
  const second = Math.floor(now / 1_000);
  const recent = window.filter((slice) => Math.abs(second - slice.second) < WINDOW_SECONDS);
  const current = recent.find((slice) => slice.second === second);
  const sum = { second, ...addCounts(current ?? NO_COUNTS, counts) };
  return [...oldSlices(window, second), ...recent.filter((slice) => slice !== current), sum];
}

/** The counts of the seconds before the window of latencies. */
function oldSlices(window: EvidenceWindow, second: number): EvidenceSlice[] {
  const old: EvidenceSlice[] = [];
  for (const slice of window) {
    const age = second - slice.second;
    if (age < WINDOW_SECONDS || age >= TAIL_SECONDS) continue;
    const last = old.at(-1);
    if (last && blockOf(last) === blockOf(slice)) {
      old[old.length - 1] = { second: last.second, ...addCounts(last, { ...slice, latency: null }) };
    } else old.push(slice.latency ? { ...slice, latency: null } : slice);
  }
  return old;
}

const blockOf = ({ second }: EvidenceSlice): number => Math.floor(second / OLD_SLICE_SECONDS);

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

export function addCounts(a: EvidenceCounts, b: EvidenceCounts): EvidenceCounts {
  return {
    calls: a.calls + b.calls,
    failures: a.failures + b.failures,
    broken: a.broken + b.broken,
    abandoned: a.abandoned + b.abandoned,
    stopped: a.stopped + b.stopped,
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

/**
 * DDSketch (Masson, Rim, Lee, VLDB 2019) with a relative error of 1 %. Buckets have geometric widths, so sketches of
 * different isolates, agents and days merge without loss. Plain JSON. Values are milliseconds.
 */
export interface Sketch {
  count: number;
  sum: number;
  max: number;
  /** Bucket index → number of values. */
  buckets: Record<number, number>;
}

const RELATIVE_ERROR = 0.01;
const GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR);
/** The bucket of a value is ceil(ln(value) / SKETCH_LOG_GAMMA). The SQL roll-ups use the same formula. */
export const SKETCH_LOG_GAMMA = Math.log(GAMMA);
/** All values up to this share one bucket. */
export const SKETCH_MIN_VALUE = 0.01;

export const emptySketch = (): Sketch => ({ count: 0, sum: 0, max: 0, buckets: {} });

/** Adds a value `times` times. Ignores NaN and infinity, which would corrupt every sketch it is merged into. */
export function addToSketch(sketch: Sketch, value: number, times = 1): void {
  if (!Number.isFinite(value)) return;
  const index = Math.ceil(Math.log(Math.max(value, SKETCH_MIN_VALUE)) / SKETCH_LOG_GAMMA);
  sketch.buckets[index] = (sketch.buckets[index] ?? 0) + times;
  sketch.count += times;
  sketch.sum += value * times;
  if (value > sketch.max) sketch.max = value;
}

/** Adds `other` into `sketch`. */
export function mergeSketch(sketch: Sketch, other: Sketch): void {
  for (const [index, times] of Object.entries(other.buckets)) {
    sketch.buckets[Number(index)] = (sketch.buckets[Number(index)] ?? 0) + times;
  }
  sketch.count += other.count;
  sketch.sum += other.sum;
  sketch.max = Math.max(sketch.max, other.max);
}

/** Adds `other` into `into` and returns it; into a new sketch when `into` is null. */
export function mergeOptionalSketch(into: Sketch | null, other: Sketch | null | undefined): Sketch | null {
  if (!other?.count) return into;
  const sum = into ?? emptySketch();
  mergeSketch(sum, other);
  return sum;
}

/** The value at quantile `q` (0–1), within 1 %; null for an empty sketch. */
export function sketchQuantile(sketch: Sketch, q: number): number | null {
  if (sketch.count === 0) return null;
  const rank = q * (sketch.count - 1);
  let seen = 0;
  const indexes = Object.keys(sketch.buckets)
    .map(Number)
    .sort((a, b) => a - b);
  for (const index of indexes) {
    seen += sketch.buckets[index] ?? 0;
    if (seen > rank) return Math.min((2 * GAMMA ** index) / (GAMMA + 1), sketch.max);
  }
  return sketch.max;
}

/** Number of values above `limit`, with an error of at most one bucket. */
export function sketchCountAbove(sketch: Sketch, limit: number): number {
  const edge = Math.ceil(Math.log(Math.max(limit, SKETCH_MIN_VALUE)) / SKETCH_LOG_GAMMA);
  return Object.entries(sketch.buckets).reduce(
    (sum, [index, times]) => sum + (Number(index) > edge ? times : 0),
    0,
  );
}

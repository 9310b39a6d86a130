import { expect, test } from 'vitest';
import {
  addToSketch,
  emptySketch,
  mergeOptionalSketch,
  mergeSketch,
  type Sketch,
  sketchCountAbove,
  sketchQuantile,
} from './sketch.ts';

/** A seeded generator: the same numbers in every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return state / 2 ** 32;
  };
}
const of = (values: readonly number[]): Sketch => {
  const sketch = emptySketch();
  for (const value of values) addToSketch(sketch, value);
  return sketch;
};
const shapes: [string, (random: () => number) => number][] = [
  ['even', (random) => 1 + 999 * random()],
  ['with a long tail', (random) => 5 / (1 - random())],
  ['of two kinds', (random) => (random() < 0.9 ? 2 + random() : 3_000 + 100 * random())],
  ['below a millisecond', (random) => 0.02 + 0.5 * random()],
];

test.each(shapes)('quantiles are within 1 %%: values %s', (_name, draw) => {
  const random = seeded(7);
  const values = Array.from({ length: 20_000 }, () => draw(random)).sort((a, b) => a - b);
  const sketch = of(values);
  for (const q of [0, 0.01, 0.5, 0.9, 0.99, 0.999, 1]) {
    const exact = values[Math.floor(q * (values.length - 1))] ?? 0;
    expect(Math.abs((sketchQuantile(sketch, q) ?? 0) - exact)).toBeLessThanOrEqual(0.01001 * exact);
  }
});

test('merged parts equal the whole, in any order and across JSON', () => {
  const random = seeded(3);
  const values = Array.from({ length: 3_000 }, () => 5 / (1 - random()));
  const parts = [0, 1, 2].map((part) => of(values.filter((_, index) => index % 3 === part)));
  const sum = emptySketch();
  for (const part of [...parts, emptySketch()].reverse()) mergeSketch(sum, JSON.parse(JSON.stringify(part)));
  const whole = of(values);
  expect({ ...sum, sum: 0 }).toEqual({ ...whole, sum: 0 });
  expect(sum.sum).toBeCloseTo(whole.sum, 6);
  expect(Object.keys(whole.buckets).length).toBeLessThan(1_300);
});

test('the first merge copies: later merges do not change its source', () => {
  const first = of([10]);
  const both = mergeOptionalSketch(mergeOptionalSketch(null, first), of([20]));
  expect(both).toEqual(of([10, 20]));
  expect(first).toEqual(of([10]));
  expect(mergeOptionalSketch(null, emptySketch())).toBeNull();
  expect(mergeOptionalSketch(first, null)).toBe(first);
});

test('an empty sketch, zero and NaN', () => {
  expect(sketchQuantile(emptySketch(), 0.5)).toBeNull();
  expect(sketchQuantile(of([0, 0]), 0.99)).toBe(0);
  expect(of([Number.NaN, Number.POSITIVE_INFINITY, 5])).toEqual(of([5]));
});

test('counts values above a limit, within one bucket', () => {
  const sketch = of(Array.from({ length: 1_000 }, (_, index) => index + 1));
  expect(sketchCountAbove(sketch, 900)).toBeGreaterThanOrEqual(82);
  expect(sketchCountAbove(sketch, 900)).toBeLessThanOrEqual(100);
  expect(sketchCountAbove(sketch, 2_000)).toBe(0);
});

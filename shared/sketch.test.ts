import fc from 'fast-check';
import { expect, test } from 'vitest';
import { addToSketch, emptySketch, mergeSketch, sketchCountAbove, sketchQuantile } from './sketch.ts';

test('every quantile is within 1 % of the exact one, merged or not', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0.02, max: 60_000, noNaN: true }), { minLength: 1 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (values, q) => {
        const left = emptySketch();
        const right = emptySketch();
        for (const [index, value] of values.entries()) addToSketch(index % 2 ? left : right, value);
        mergeSketch(left, right);
        const exact = values.toSorted((a, b) => a - b)[Math.floor(q * (values.length - 1))] ?? 0;
        expect(Math.abs((sketchQuantile(left, q) ?? 0) - exact)).toBeLessThanOrEqual(exact * 0.0101);
      },
    ),
  );
});

test('nothing added, no quantile; counts above a limit', () => {
  const sketch = emptySketch();
  expect(sketchQuantile(sketch, 0.5)).toBeNull();
  for (const value of [1, 10, 100, 1000]) addToSketch(sketch, value);
  expect(sketchCountAbove(sketch, 50)).toBe(2);
});

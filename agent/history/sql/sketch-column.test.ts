import { expect, it } from 'vitest';
import { addToSketch, emptySketch } from '../../../shared/sketch.ts';
import { formatSketch, parseSketch } from './sketch-column.ts';

it('a sketch is the same after it was stored, to the microsecond', () => {
  const sketch = emptySketch();
  for (const ms of [0.001, 0.5, 12.345_678, 12.345_678, 9_000]) addToSketch(sketch, ms);
  const stored = formatSketch(sketch);
  expect(stored).toBe('5 9025.192 9000|-230 -34 126:2 456');
  expect(parseSketch(stored)).toEqual({ ...sketch, sum: 9_025.192 });
  expect(parseSketch(formatSketch(emptySketch()))).toEqual(emptySketch());
});

it('a sketch of an earlier version is a JSON object', () => {
  const sketch = emptySketch();
  addToSketch(sketch, 20);
  expect(parseSketch(sketch)).toEqual(sketch);
  expect(parseSketch(null)).toBeNull();
});

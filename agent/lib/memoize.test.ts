import { expect, test } from 'vitest';
import { memoize } from './memoize.ts';

test('a result is computed once, and forgotten when too many are kept', () => {
  const computed: string[] = [];
  const upper = memoize((text) => {
    computed.push(text);
    return text.toUpperCase();
  }, 2);
  expect([upper('a'), upper('b'), upper('a')]).toEqual(['A', 'B', 'A']);
  expect(computed).toEqual(['a', 'b']);
  expect([upper('c'), upper('a')]).toEqual(['C', 'A']);
  expect(computed).toEqual(['a', 'b', 'c', 'a']);
});

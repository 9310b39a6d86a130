import { expect, test } from 'vitest';
import { firstProblem } from './first-problem.ts';

test.each([
  ['a: bad', 'a: bad'],
  ['a: bad\nb: bad\nc: bad', 'a: bad (and 2 more)'],
  ['haproxy rejects it:\n[x:1] : bad', 'haproxy rejects it: [x:1] : bad'],
  ['haproxy rejects it:\n[x:1] : bad\n[x:2] : bad', 'haproxy rejects it: [x:1] : bad (and 1 more)'],
])('the first problem of %j', (text, expected) => {
  expect(firstProblem(text)).toBe(expected);
});

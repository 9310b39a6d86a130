import { expect, test } from 'vitest';
import { sparkline } from './sparkline.ts';

test('the scale begins at 0; a step without data is a dot; peaks survive fewer columns', () => {
  expect(sparkline([0, 50, 100, null, 100], 10)).toBe('▁▅█·█');
  expect(sparkline([0, 0], 10)).toBe('▁▁');
  expect(sparkline([], 10)).toBe('');
  expect(sparkline([null, null], 1)).toBe('·');
  const values = Array.from({ length: 100 }, (_, index) => (index === 57 ? 9 : 1));
  expect([...sparkline(values, 10)]).toEqual(['▂', '▂', '▂', '▂', '▂', '█', '▂', '▂', '▂', '▂']);
});

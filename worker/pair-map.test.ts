import { expect, test } from 'vitest';
import { PairMap } from './pair-map.ts';

test('each pair of texts has its own value, however the texts would join', () => {
  const map = new PairMap<{ name: string }>();
  expect(map.isEmpty).toBe(true);
  const first = map.getOrAdd('a b', 'c', () => ({ name: '1' }));
  map.getOrAdd('a', 'b c', () => ({ name: '2' }));
  expect(map.getOrAdd('a b', 'c', () => ({ name: 'new' }))).toBe(first);
  expect(map.values()).toEqual([{ name: '1' }, { name: '2' }]);
  map.retain(({ name }) => name === '2');
  expect(map.values()).toEqual([{ name: '2' }]);
  map.retain(() => false);
  expect(map.isEmpty).toBe(true);
});

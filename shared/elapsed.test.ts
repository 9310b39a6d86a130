import { expect, test } from 'vitest';
import { elapsedMs } from './elapsed.ts';

test('a clock set back by an hour ends a wait of a minute', () => {
  const since = 10_000_000;
  expect(elapsedMs(since, since + 59_000)).toBe(59_000);
  expect(elapsedMs(since, since - 3_600_000)).toBeGreaterThan(60_000);
});

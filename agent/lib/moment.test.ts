import { expect, test } from 'vitest';
import { parseMoment } from './moment.ts';

const NOW = Date.UTC(2026, 10, 28, 18);

test.each([
  ['6h', NOW - 6 * 3_600_000],
  ['0s', NOW],
  ['2026-11-28T14:00Z', Date.UTC(2026, 10, 28, 14)],
  ['2026-11-28T14:00:30+02:00', Date.UTC(2026, 10, 28, 12, 0, 30)],
  ['2026-11-28 14:00', Date.UTC(2026, 10, 28, 14)],
  ['2026-11-28', Date.UTC(2026, 10, 28)],
  ['1764338400000', 1_764_338_400_000],
  ['', null],
  ['yesterday', null],
  ['2026-13-01', null],
  ['12', null],
  ['-1h', null],
])('%s', (text, expected) => {
  expect(parseMoment(text, NOW)).toBe(expected);
});

import { expect, test } from 'vitest';
import { parseOrder, parseRetryAfter } from './publisher.ts';

test.each([
  ['2', 2_000],
  ['300', 300_000],
  ['86400', 300_000],
  ['99999999999999999999', 300_000],
  ['0', 0],
  ['', undefined],
  ['-1', undefined],
  ['Infinity', undefined],
  ['0x10', undefined],
  ['1e9', undefined],
  ['Wed, 21 Oct 2026 07:28:00 GMT', undefined],
  [null, undefined],
])('Retry-After: %s pauses for %s ms', (value, ms) => {
  expect(parseRetryAfter(value)).toBe(ms);
});

test('an order from a peer leaves room for the next epoch', () => {
  expect(parseOrder({ epoch: 3, seq: 4 })).toEqual({ epoch: 3, seq: 4 });
  for (const epoch of [Number.MAX_SAFE_INTEGER, 2 ** 52, -1, 1.5, '3', null]) {
    expect(parseOrder({ epoch, seq: 1 }), String(epoch)).toBeNull();
  }
});

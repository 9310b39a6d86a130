import { expect, test } from 'vitest';
import { isRequestId, isSampled, parseTraceparent } from './trace-context.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';

test('a valid traceparent gives trace, span and flags; a later version may append fields', () => {
  const parsed = { traceId: TRACE, parentId: SPAN, flags: '01' };
  expect(parseTraceparent(`00-${TRACE}-${SPAN}-01`)).toEqual(parsed);
  expect(parseTraceparent(`cc-${TRACE}-${SPAN}-01-more`)).toEqual(parsed);
  expect(isSampled('01')).toBe(true);
  expect(isSampled('02')).toBe(false);
});

test.each([
  null,
  '',
  `00-${TRACE}-${SPAN}`,
  `00-${TRACE}-${SPAN}-01-more`,
  `00-${TRACE.toUpperCase()}-${SPAN}-01`,
  `00-${'0'.repeat(32)}-${SPAN}-01`,
  `00-${TRACE}-${'0'.repeat(16)}-01`,
  `ff-${TRACE}-${SPAN}-01`,
  `00-${TRACE}-${SPAN}-01, 00-${TRACE}-${SPAN}-01`,
])('refuses %s', (header) => {
  expect(parseTraceparent(header)).toBeNull();
});

test('a request id has no characters that are special in logs or JSON', () => {
  expect(isRequestId('456f4be3-cd74-433c-1q')).toBe(true);
  for (const id of ['', 'a b', 'a"', 'a}', 'a|b', 'x'.repeat(129)]) expect(isRequestId(id)).toBe(false);
});

import { expect, test } from 'vitest';
import { TraceIds } from './trace-ids.ts';

test('ids are hex of their length, never zero, and never repeated, also across pools', () => {
  const ids = new TraceIds();
  const taken = Array.from({ length: 2_000 }, () => [ids.trace(), ids.span()]);
  const traces = taken.map(([trace]) => trace);
  const spans = taken.map(([, span]) => span);
  for (const trace of traces) expect(trace).toMatch(/^[1-9a-f][0-9a-f]{31}$/);
  for (const span of spans) expect(span).toMatch(/^[1-9a-f][0-9a-f]{15}$/);
  expect(new Set(traces).size).toBe(2_000);
  expect(new Set(spans).size).toBe(2_000);
  expect(new Set(traces.join('')).size).toBe(16);
});

import { expect, test } from 'vitest';
import { sampleTrace } from '../../../../test/harness/traces.ts';
import { reportSchema } from './edge-reports.ts';

const report = {
  v: 1,
  site: 'main',
  isolate: 'i',
  seq: 1,
  from: 0,
  to: 1,
  snapshot: null,
  tries: [],
  limits: [],
  requests: [],
};

test('a report of an edge without traces is valid', () => {
  expect(reportSchema.parse(report)).toMatchObject({ traces: [], tracesDropped: 0 });
});

test('a report with an invalid trace keeps its counters', () => {
  expect(reportSchema.parse({ ...report, traces: [sampleTrace()] }).traces).toEqual([sampleTrace()]);
  for (const traces of [[sampleTrace({ path: 'x'.repeat(300) })], Array(1_001).fill(sampleTrace()), 7]) {
    expect(reportSchema.parse({ ...report, traces })).toMatchObject({ seq: 1, traces: [] });
  }
});

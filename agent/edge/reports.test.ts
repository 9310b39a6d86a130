import { expect, test } from 'vitest';
import { parseConfig } from '../../shared/config/load.ts';
import type { EdgeReport } from '../../shared/edge-report.ts';
import { addToSketch, emptySketch } from '../../shared/sketch.ts';
import { createEdgeReportReader } from './reports.ts';

const config = parseConfig(`
version: 1
site: { id: main }
services: { gs: { routes: [/], instances: [{ id: gs-1, url: 'http://127.0.0.1:1' }] } }
`);
const report = (seq: number, path: 'gateway' | 'direct'): EdgeReport => {
  const latency = emptySketch();
  addToSketch(latency, 100, 5);
  return {
    v: 1,
    site: 'main',
    isolate: 'i',
    seq,
    from: 0,
    to: 1,
    snapshot: null,
    limits: [],
    requests: [],
    tries: [{ service: 'gs', instance: 'gs-1', path, success: 4, failure: 1, latency }],
  };
};

test('a request counts once: not if HAProxy reports it too, and not in a repeated report', () => {
  const readReport = createEdgeReportReader(() => config);
  expect(readReport(report(1, 'gateway'), 7)).toEqual([]);
  expect(readReport(report(2, 'direct'), 7)).toMatchObject([
    { source: 'edge', instance: 'gs-1', at: 7, success: 4, failure: 1, latency: { count: 5 } },
  ]);
  expect(readReport(report(2, 'direct'), 8)).toBeNull();
});

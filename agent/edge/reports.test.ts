import { expect, test } from 'vitest';
import { parseConfig } from '../../shared/config/load.ts';
import type { EdgeReport } from '../../shared/edge-report.ts';
import { addToSketch, emptySketch, mergeSketch } from '../../shared/sketch.ts';
import { type RequestDelta, requestsIn } from '../core/requests.ts';
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

test('an attempt counts once: not if HAProxy reports it too, and not in a repeated report', () => {
  const { read } = createEdgeReportReader(() => config);
  expect(read(report(1, 'gateway'), 7)?.evidence).toEqual([]);
  expect(read(report(2, 'direct'), 7)?.evidence).toMatchObject([
    { source: 'edge', instance: 'gs-1', at: 7, success: 4, failure: 1, latency: { count: 5 } },
  ]);
  expect(read(report(2, 'direct'), 8)).toBeNull();
});

test('a report that another agent of the site has read counts there', () => {
  const reader = createEdgeReportReader(() => config);
  expect(reader.markRead({ isolate: 'i', seq: 3 })).toBe(true);
  expect(reader.read(report(3, 'direct'), 8)).toBeNull();
  expect(reader.read(report(4, 'direct'), 8)).not.toBeNull();
});

test('requests are spread over the seconds that the report covers, and none is lost', () => {
  const latency = emptySketch();
  for (let ms = 1; ms <= 77; ms++) addToSketch(latency, ms);
  const seen = {
    service: 'gs',
    total: 101,
    status2xx: 70,
    status3xx: 1,
    status4xx: 25,
    status5xx: 5,
    retries: 7,
    failovers: 0,
    hedges: 2,
    stale: 0,
    shed: 0,
    unavailable: 5,
    limited: 24,
    forbidden: 0,
    latency,
  };
  for (const seconds of [0, 3, 10, 11, 15, 600]) {
    const { read } = createEdgeReportReader(() => config);
    const whole = {
      ...report(1, 'gateway'),
      to: seconds * 1000,
      requests: [seen, { ...seen, service: 'x' }],
    };
    const deltas = read(whole, 100_000)?.requests ?? [];
    expect(Math.min(...deltas.map(({ at }) => at))).toBeGreaterThanOrEqual(100_000 - 10_000);
    const sum = (of: (delta: RequestDelta) => number) => deltas.reduce((total, one) => total + of(one), 0);
    expect(sum(requestsIn)).toBe(101);
    expect(sum(({ statuses }) => statuses['5xx'])).toBe(5);
    expect([sum((one) => one.retries), sum((one) => one.hedges), sum((one) => one.limited)]).toEqual([
      7, 2, 24,
    ]);
    const merged = emptySketch();
    for (const one of deltas) mergeSketch(merged, one.latency);
    expect(merged).toMatchObject({ count: 77, max: 77, buckets: latency.buckets });
    expect(merged.sum).toBeCloseTo(latency.sum);
  }
});

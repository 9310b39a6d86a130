import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parseConfig } from '../../../shared/config/load.ts';
import type { EdgeReport } from '../../../shared/edge-report.ts';
import { emptySketch } from '../../../shared/sketch.ts';
import { requestsOf } from '../../../test/harness/requests.ts';
import { spreadRequests } from '../../core/requests.ts';
import type { Instance, TrafficDelta } from '../../core/state.ts';
import { BUCKET_MS, createTrafficWindow } from '../../core/traffic-window.ts';
import type { AgentStatus } from '../schemas/status.ts';
import { createStatusView } from './status.ts';

const config = parseConfig(readFileSync(new URL('../../../acgs-lb.yaml', import.meta.url), 'utf8'));
const START = 1_000_000_000_000;
const instance: Instance = {
  id: 'gs-1',
  service: 'gs',
  url: 'http://127.0.0.1:8004',
  origin: 'file',
  state: 'up',
  reason: 'fine',
  since: START,
  health: 'up',
  breaker: 'closed',
  admin: 'ready',
  weight: 100,
  priority: 1,
  latencyMs: 5,
  inflight: 2,
  queued: 1,
  metadata: {},
};
const instances = new Map([['gs/gs-1', instance]]);
const agent: AgentStatus = {
  version: '1',
  site: 'main',
  startedAt: START,
  ready: true,
  leader: { role: 'single', holder: null },
  snapshot: { epoch: 1, seq: 1, publishedAt: null, error: null },
  alerts: [],
  sources: [],
  sinks: {},
};
const emptyReport = (now: number): EdgeReport => ({
  v: 1,
  site: 'main',
  isolate: 'i',
  seq: 1,
  from: now - 10_000,
  to: now,
  snapshot: null,
  tries: [],
  limits: [],
  requests: [],
});
const calls = (at: number, success: number, id = 'gs-1'): TrafficDelta => ({
  kind: 'traffic',
  source: 'haproxy',
  service: 'gs',
  instance: id,
  at,
  success,
  failure: 0,
  slow: 0,
});

test('steady traffic shows as a steady rate at every moment', () => {
  let now = START;
  const window = createTrafficWindow();
  const view = createStatusView({ config: () => config, window, now: () => now });
  const seen = new Set<number>();
  for (let second = 0; second < 60; second++) {
    now = START + second * 1_000;
    window.addRequests(requestsOf(now, 30));
    if (second > 25) seen.add(view.status(agent).total.perSecond);
  }
  expect([...seen]).toEqual([30]);
});

test('requests of a service, attempts of its instances with their measured share', () => {
  let now = START;
  const window = createTrafficWindow();
  const view = createStatusView({ config: () => config, window, now: () => now });
  const slow = { ...instance, id: 'gs-2' };
  view.accept({ at: now, instances: new Map([...instances, ['gs/gs-2', slow]]), changes: [] });
  window.addRequests(requestsOf(now, 94, 6, { retries: 5 }));
  window.addTraffic(calls(now, 76));
  window.addTraffic(calls(now, 4, 'gs-2'));
  window.addTraffic(calls(now, 20, 'gone'));
  now += 7_000;
  const gs = view.status(agent).services.find(({ id }) => id === 'gs');
  expect(gs).toMatchObject({
    inflight: 4,
    queued: 2,
    traffic: { perSecond: 10, errorPercent: 6, requests: 100, failed: 6, attempts: 100, retries: 5 },
    instances: [
      { id: 'gs-1', traffic: { perSecond: 7.6, errorPercent: 0 }, trafficPercent: 95 },
      { id: 'gs-2', traffic: { perSecond: 0.4 }, trafficPercent: 5 },
    ],
  });
  expect(gs?.traffic.history.perSecond.at(-1)).toBe(20);
});

test('while edges report, the figures of requests end before the reports that are still to come', () => {
  let now = START;
  const window = createTrafficWindow();
  const view = createStatusView({ config: () => config, window, now: () => now });
  const seen = new Set<number>();
  for (let second = 0; second < 90; second++) {
    now = START + second * 1_000;
    if (second % 10 === 0) {
      view.edgeReport(emptyReport(now));
      for (const one of spreadRequests(requestsOf(now, 300), 2, BUCKET_MS)) window.addRequests(one);
    }
    if (second > 40) seen.add(view.status(agent).total.perSecond);
  }
  expect([...seen]).toEqual([30]);
});

test('the latest hundred changes, newest first', () => {
  const window = createTrafficWindow();
  const view = createStatusView({ config: () => config, window, now: () => START });
  for (let index = 0; index < 150; index++) {
    const change = {
      at: index,
      service: 'gs',
      instance: 'gs-1',
      kind: 'state',
      reason: String(index),
    } as const;
    view.accept({ at: START, instances, changes: [change] });
  }
  const { changes } = view.status(agent);
  expect(changes).toHaveLength(100);
  expect(changes[0]?.reason).toBe('149');
});

test('edge reports: sums per service and policy, oldest and newest snapshot, dropped after five minutes', () => {
  let now = START;
  const window = createTrafficWindow();
  const view = createStatusView({ config: () => config, window, now: () => now });
  const report = (isolate: string, seq: number): EdgeReport => ({
    v: 1,
    site: 'main',
    isolate,
    seq: 1,
    from: now - 1_000,
    to: now,
    tries: [],
    snapshot: { epoch: 1, seq, ageMs: 10, source: 'hub' },
    limits: [{ service: 'gs', policy: 'per-ip', allowed: 10, denied: 2, shadowDenied: 0 }],
    requests: [
      {
        service: 'gs',
        total: 12,
        status2xx: 10,
        status3xx: 0,
        status4xx: 2,
        status5xx: 0,
        retries: 1,
        failovers: 1,
        hedges: 0,
        stale: 0,
        shed: 0,
        unavailable: 0,
        limited: 2,
        forbidden: 0,
        latency: emptySketch(),
      },
    ],
  });
  view.edgeReport(report('a', 4));
  view.edgeReport(report('b', 7));
  expect(view.status(agent).edge).toMatchObject({
    isolates: 2,
    oldest: { seq: 4 },
    newest: { seq: 7 },
    requests: [{ service: 'gs', total: 24, failovers: 2, hedges: 0, limited: 4 }],
    limits: [{ service: 'gs', policy: 'per-ip', allowed: 20, denied: 4 }],
  });
  now += 301_000;
  expect(view.status(agent).edge).toMatchObject({ isolates: 0, oldest: null, requests: [] });
});

import { expect, test } from 'vitest';
import { parseConfig } from '../../shared/config/load.ts';
import { addToSketch, emptySketch } from '../../shared/sketch.ts';
import { sampleInstance } from '../../test/harness/instance.ts';
import { requestsOf } from '../../test/harness/requests.ts';
import type { RequestDelta } from '../core/requests.ts';
import type { Instance, TrafficDelta } from '../core/state.ts';
import { createTrafficWindow } from '../core/traffic-window.ts';
import { readRules } from './rules.ts';
import { summarizeTraffic } from './summary.ts';

const config = parseConfig(`
version: 1
site: { id: main }
monitor: { window: 1m }
services:
  gs: { routes: [/], instances: [{ id: gs-1, url: 'http://127.0.0.1:1' }, { id: gs-2, url: 'http://127.0.0.1:2' }] }
`);
const instance = (id: string, more: Partial<Instance> = {}): Instance =>
  sampleInstance({ id, latencyMs: 1, inflight: 3, queued: 1, ...more });
const both = (first: Partial<Instance> = {}, second: Partial<Instance> = {}) =>
  new Map([
    ['gs/gs-1', instance('gs-1', first)],
    ['gs/gs-2', instance('gs-2', second)],
  ]);
const delta = (name: string, more: Partial<TrafficDelta>): TrafficDelta => ({
  kind: 'traffic',
  source: 'haproxy',
  service: 'gs',
  instance: name,
  at: 0,
  success: 0,
  failure: 0,
  slow: 0,
  ...more,
});
const sketch = (ms: number, times: number) => {
  const made = emptySketch();
  addToSketch(made, ms, times);
  return made;
};

interface Refresh {
  at: number;
  requests?: RequestDelta[];
  instances: ReadonlyMap<string, Instance>;
  traffic?: TrafficDelta[];
}

function summaryOf(refreshes: Refresh[], now: number) {
  const window = createTrafficWindow();
  for (const { at, instances, requests = [], traffic = [] } of refreshes) {
    for (const one of requests) window.addRequests({ ...one, at });
    for (const one of traffic) window.addTraffic({ ...one, at });
    window.addSample(instances, at);
  }
  return summarizeTraffic({ config, window, instances: both().values(), now, since: 0 });
}

test('a service shows what its clients saw; an instance shows its attempts', () => {
  const dead = { state: 'down' as const };
  const summary = summaryOf(
    [
      {
        at: 1_000,
        instances: both(dead),
        requests: [requestsOf(0, 16, 4, { retries: 3, hedges: 1, limited: 2, ms: 40 })],
        traffic: [delta('gs-1', { success: 6, failure: 4 })],
      },
      { at: 2_000, instances: both(dead, dead), traffic: [delta('gs-2', { success: 13 })] },
    ],
    10_000,
  );
  const [service] = summary.services;
  const figures = {
    requests: 20,
    failed: 4,
    errorPercent: 20,
    availabilityPercent: 80,
    servingPercent: 50,
    attempts: 23,
    retries: 3,
    hedges: 1,
    limited: 2,
    concurrency: 8,
  };
  expect(service).toMatchObject(figures);
  expect(service?.p95Ms).toBeCloseTo(40, 0);
  expect(service?.instances).toMatchObject([
    { id: 'gs-1', attempts: 10, failed: 4, errorPercent: 40, availabilityPercent: 0 },
    { id: 'gs-2', attempts: 13, failed: 0, errorPercent: 0, availabilityPercent: 50 },
  ]);
  expect(summary.total).toMatchObject({ ...figures, perSecond: 2 });
});

test('a service that is dead fails its requests, although no instance has an attempt', () => {
  const down = both({ state: 'down' }, { state: 'down' });
  const summary = summaryOf([{ at: 1_000, instances: down, requests: [requestsOf(0, 0, 54)] }], 10_000);
  expect(summary.services[0]).toMatchObject({ requests: 54, failed: 54, errorPercent: 100, attempts: 0 });
  const readings = readRules(summary, 10);
  expect(readings.find(({ rule }) => rule === 'errorPercent')?.value).toBe(100);
  expect(readings.find(({ rule }) => rule === 'availabilityPercent')?.value).toBe(0);
});

test('failed attempts of a killed instance are no errors when no request failed', () => {
  const instances = both({ state: 'down' });
  const killed = {
    at: 1_000,
    instances,
    requests: [requestsOf(0, 200, 0, { retries: 20 })],
    traffic: [delta('gs-1', { failure: 20 }), delta('gs-2', { success: 200 })],
  };
  const readings = readRules(summaryOf([killed], 10_000), 10);
  expect(readings.find(({ rule }) => rule === 'errorPercent')?.value).toBe(0);
  expect(readings.find(({ rule }) => rule === 'availabilityPercent')?.value).toBe(100);
});

test('without enough requests, availability is the share of time in which an instance could serve', () => {
  const down = both({ state: 'down' }, { state: 'down' });
  const refreshes = Array.from({ length: 10 }, (_, index) => ({
    at: 1_000 + index,
    instances: index < 5 ? both() : down,
  }));
  const readings = readRules(summaryOf(refreshes, 10_000), 10);
  expect(readings.find(({ rule }) => rule === 'availabilityPercent')?.value).toBe(50);
  expect(readings.find(({ rule }) => rule === 'errorPercent')?.value).toBeNull();
});

test('latencies measured by HAProxy and by the edge are merged; the input sketches do not change', () => {
  const measured = sketch(100, 10);
  const traffic = [
    delta('gs-1', { success: 10, latency: measured }),
    delta('gs-1', { source: 'edge', success: 5, latency: sketch(300, 5) }),
    delta('gs-2', { success: 5, latency: sketch(900, 5) }),
  ];
  const requests = [
    requestsOf(0, 15, 0, { source: 'gateway', ms: 100 }),
    requestsOf(0, 5, 0, { source: 'edge', ms: 900 }),
  ];
  const summary = summaryOf([{ at: 1_000, instances: both(), requests, traffic }], 2_000);
  expect(summary.total.latencySamples).toBe(20);
  expect(summary.total.p99Ms).toBeCloseTo(900, -1);
  expect(summary.services[0]?.instances).toMatchObject([{ latencySamples: 15 }, { latencySamples: 5 }]);
  expect(measured).toEqual(sketch(100, 10));
});

test('samples older than the window do not count', () => {
  const old = { at: 0, instances: both(), requests: [requestsOf(0, 0, 5)] };
  const summary = summaryOf([old, { at: 90_000, instances: both() }], 95_000);
  expect(summary.total).toMatchObject({ requests: 0, errorPercent: null, samples: 1 });
});

test('after the clock was set back, samples from the future do not count', () => {
  const hour = 3_600_000;
  const later = { at: hour, instances: both(), requests: [requestsOf(0, 0, 5)] };
  const back = { at: 5_000, instances: both(), requests: [requestsOf(0, 3)] };
  expect(summaryOf([later, back], 6_000).total).toMatchObject({ requests: 3, errorPercent: 0, samples: 1 });
  const old = summaryOf([later, back, { at: 90_000, instances: both() }], 95_000);
  expect(old.total).toMatchObject({ requests: 0, samples: 1 });
});

test('instances that no probe has judged yet are no outage', () => {
  const unknown = { state: 'down' as const, health: 'unknown' as const };
  const updates = [
    { at: 1_000, instances: both(unknown, unknown) },
    { at: 2_000, instances: both({}, unknown) },
  ];
  const [service] = summaryOf(updates, 3_000).services;
  expect(service).toMatchObject({ availabilityPercent: 100, samples: 1 });
  expect(service?.instances).toMatchObject([{ samples: 1 }, { samples: 0, availabilityPercent: null }]);
});

test('with too few samples a reading is null', () => {
  const update = { at: 1_000, instances: both(), requests: [requestsOf(0, 0, 9)] };
  const list = readRules(summaryOf([update], 2_000), 10);
  expect(list.map(({ value }) => value)).toEqual(list.map(() => null));
  const enough = readRules(summaryOf([update], 2_000), 9).find(({ rule }) => rule === 'errorPercent');
  expect(enough).toMatchObject({ service: 'gs', value: 100 });
});

import { expect, test } from 'vitest';
import { parseConfig } from '../../shared/config/load.ts';
import { shiftRecord } from '../judge/shift.ts';
import { step } from '../judge/step.ts';
import { createLoop, type UpdateListener } from './loop.ts';
import type { Update } from './sink.ts';
import { createTrafficWindow } from './traffic-window.ts';

const config = parseConfig('version: 1\nsite: { id: main }\nservices: { gs: { routes: [/] } }\n');

function start(before: UpdateListener[] = []) {
  const updates: Update[] = [];
  const errors: string[] = [];
  const window = createTrafficWindow();
  const loop = createLoop({
    step,
    shift: shiftRecord,
    initialRecords: [],
    policies: config.services,
    onListenerError: (listener, error) => errors.push(`${listener}: ${(error as Error).message}`),
    hostLoad: () => ({ cpuPercent: 1, memoryPercent: 2 }),
    window,
  });
  for (const listener of before) loop.addListener(listener);
  loop.addListener({ name: 'test', accept: (update) => updates.push(update) });
  const register = (id: string) =>
    loop.apply({
      kind: 'register',
      known: true,
      reason: 'test',
      source: {
        id,
        service: 'gs',
        url: `http://${id}`,
        origin: 'file',
        weight: 100,
        priority: 1,
        metadata: {},
      },
    });
  return { loop, updates, errors, register, window };
}

test('a thousand changes take effect at once and are delivered in one update', async () => {
  const { loop, updates, register } = start();
  for (let index = 0; index < 1_000; index++) register(`gs-${index}`);
  expect(loop.instances().size).toBe(1_000);
  expect(updates).toHaveLength(0);
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(updates).toHaveLength(1);
  expect(updates[0]?.changes).toHaveLength(1_000);
});

test('a refresh delivers pending changes once, with a metrics row per instance', async () => {
  const { loop, updates, register } = start();
  register('gs-1');
  loop.apply({
    kind: 'traffic',
    source: 'haproxy',
    service: 'gs',
    instance: 'gs-1',
    at: 1,
    success: 3,
    failure: 1,
    slow: 0,
  });
  await loop.refresh(true);
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(updates).toHaveLength(2);
  expect(updates[0]).toMatchObject({ changes: [{ kind: 'registered' }] });
  expect(updates[1]).toMatchObject({
    changes: [],
    metrics: [{ instanceId: 'gs-1', successCount: 3, failureCount: 1, totalRequests: 4 }],
  });
  await loop.refresh(true);
  expect(updates[2]).toMatchObject({ changes: [], metrics: [{ totalRequests: 0 }] });
});

test('a listener that throws is reported, and the others still receive the update', async () => {
  const broken = {
    name: 'broken',
    accept() {
      throw new Error('boom');
    },
  };
  const { loop, updates, errors, register } = start([broken]);
  register('gs-1');
  await loop.refresh(false);
  expect(updates.map(({ changes }) => changes.length)).toEqual([1, 0]);
  expect(errors).toEqual(['broken: boom', 'broken: boom']);
});

test('only a refresh takes an availability sample, not an update between two refreshes', async () => {
  const { loop, updates, register, window } = start();
  register('gs-1');
  await new Promise((resolve) => setTimeout(resolve, 20));
  for (let at = 1; at <= 3; at++) {
    loop.apply({ kind: 'probe', service: 'gs', instance: 'gs-1', at, ok: true, latencyMs: 1 });
  }
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(updates.length).toBeGreaterThan(0);
  const samples = () => window.read(Date.now(), 60_000).totals.get('gs/gs-1')?.samples;
  expect(samples()).toBeUndefined();
  await loop.refresh(false);
  expect(samples()).toBe(1);
});

test('changes are handled between the listeners of a refresh', async () => {
  const order: string[] = [];
  const { loop, register } = start([
    { name: 'first', accept: ({ changes }) => order.push(`first ${changes.length}`) },
    { name: 'second', accept: ({ changes }) => order.push(`second ${changes.length}`) },
  ]);
  const refresh = loop.refresh(false);
  setImmediate(() => register('gs-1'));
  await refresh;
  await loop.refresh(false);
  expect(order.slice(0, 2)).toEqual(['first 0', 'second 0']);
  expect(order.filter((entry) => entry.endsWith('1'))).toEqual(['first 1', 'second 1']);
});

test('setting the wall clock moves every instant of a record with it', () => {
  const times = { wall: 1_700_000_000_000, monotonic: 0 };
  const pass = (ms: number) => {
    times.wall += ms;
    times.monotonic += ms;
  };
  const loop = createLoop({
    step,
    shift: shiftRecord,
    initialRecords: [],
    policies: config.services,
    onListenerError: (_, error) => {
      throw error;
    },
    hostLoad: () => ({ cpuPercent: 1, memoryPercent: 2 }),
    now: () => times.wall,
    clock: () => times.monotonic,
  });
  const source = {
    id: 'gs-1',
    service: 'gs',
    url: 'http://gs-1',
    origin: 'api',
    weight: 100,
    priority: 1,
    ttl: 30_000,
    metadata: {},
  } as const;
  loop.apply({ kind: 'register', known: true, reason: 'test', source });
  const left = () => (loop.instances().get('gs/gs-1')?.expiresAt ?? 0) - times.wall;
  pass(10_000);
  times.wall += 3_600_000;
  loop.tick();
  expect(left()).toBe(20_000);
  times.wall -= 7_200_000;
  pass(10_000);
  loop.tick();
  expect(left()).toBe(10_000);
  // A small correction of the clock is not a step.
  times.wall += 100;
  loop.tick();
  expect(left()).toBe(9_900);
  pass(9_900);
  loop.tick();
  expect(loop.instances().size).toBe(0);
});

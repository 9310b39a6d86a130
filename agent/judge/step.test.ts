import { expect, test } from 'vitest';
import { parseConfig } from '../../shared/config/load.ts';
import type { JudgeEvent } from '../core/judge-event.ts';
import { type Change, instanceKey } from '../core/state.ts';
import type { InstanceRecord } from './instance-record.ts';
import { step } from './step.ts';

const config = parseConfig(`
version: 1
site: { id: main }
services:
  gs:
    routes: [/]
    slowStart: 30s
    health: { rise: 2, fall: 3 }
    breaker: { minimumCalls: 10, openFor: 30s, halfOpenCalls: 5 }
`);
const START = 1_700_000_000_000;

/** A judge with two instances and a manual clock. */
function startJudge(known = true) {
  const records = new Map<string, InstanceRecord>();
  const changes: Change[] = [];
  let now = START;
  const apply = (event: JudgeEvent) => {
    const result = step(records, event, config.services, now);
    for (const record of result.records)
      records.set(instanceKey(record.instance.service, record.instance.id), record);
    for (const key of result.removed) records.delete(key);
    changes.push(...result.changes);
    return result;
  };
  const register = (id: string, ttl?: number) =>
    apply({
      kind: 'register',
      known,
      reason: 'test',
      source: {
        id,
        service: 'gs',
        url: `http://127.0.0.1:80${id.at(-1)}`,
        origin: ttl ? 'api' : 'file',
        weight: 100,
        priority: 1,
        metadata: {},
        ...(ttl ? { ttl } : {}),
      },
    });
  const probe = (id: string, ok: boolean, times = 1) => {
    for (let count = 0; count < times; count++) {
      const error = ok ? {} : { error: 'connect refused 127.0.0.1:8004' };
      apply({ kind: 'probe', service: 'gs', instance: id, at: now, latencyMs: 1, ok, ...error });
      now += 10;
    }
  };
  const traffic = (id: string, success: number, failure: number, slow = 0) =>
    apply({
      kind: 'traffic',
      source: 'haproxy',
      service: 'gs',
      instance: id,
      at: now,
      success,
      failure,
      slow,
    });
  const wait = (ms: number) => {
    now += ms;
    apply({ kind: 'tick' });
  };
  const instance = (id: string) => {
    const record = records.get(`gs/${id}`);
    if (!record) throw new Error(`no ${id}`);
    return record.instance;
  };
  register('gs-1');
  register('gs-2');
  return { records, changes, apply, register, probe, traffic, wait, instance, now: () => now };
}

function bothUp(known = true) {
  const s = startJudge(known);
  s.probe('gs-1', true, 2);
  s.probe('gs-2', true, 2);
  if (!known) s.wait(30_000);
  s.changes.length = 0;
  return s;
}

test('an instance stays down until `rise` probes passed in a row', () => {
  const s = startJudge();
  expect(s.instance('gs-1')).toMatchObject({ state: 'down', health: 'unknown', reason: 'not probed yet' });
  s.probe('gs-1', true);
  expect(s.instance('gs-1')).toMatchObject({
    state: 'down',
    reason: 'not yet healthy: 1 of 2 probes passed',
  });
  s.probe('gs-1', false);
  s.probe('gs-1', true);
  expect(s.instance('gs-1').state).toBe('down');
  s.probe('gs-1', true);
  expect(s.instance('gs-1')).toMatchObject({ state: 'up', health: 'up', reason: '2 of 2 probes passed' });
});

test('a new instance is on probation during its slow start', () => {
  const s = startJudge(false);
  s.probe('gs-1', true, 2);
  expect(s.instance('gs-1').state).toBe('probation');
  const served = s.instance('gs-1').servingSince;
  s.wait(29_000);
  expect(s.instance('gs-1').state).toBe('probation');
  s.wait(1_000);
  expect(s.instance('gs-1')).toMatchObject({ state: 'up', servingSince: served });
});

test('an instance goes down after `fall` failed probes in a row, with their error as reason', () => {
  const s = bothUp();
  s.probe('gs-1', false, 2);
  s.probe('gs-1', true);
  s.probe('gs-1', false, 2);
  expect(s.instance('gs-1').state).toBe('up');
  s.probe('gs-1', false);
  expect(s.instance('gs-1')).toMatchObject({
    state: 'down',
    reason: '3 of 3 probes failed: connect refused 127.0.0.1:8004',
  });
  expect(s.changes.map(({ kind, from, to }) => `${kind} ${from}→${to}`)).toEqual([
    'health up→down',
    'state up→down',
  ]);
  s.probe('gs-1', true, 2);
  expect(s.instance('gs-1').state).toBe('probation');
});

test('a probe that started before the newest counted one is ignored', () => {
  const s = bothUp();
  const late = {
    kind: 'probe',
    service: 'gs',
    instance: 'gs-1',
    at: s.now() + 3_000,
    latencyMs: 3_500,
    ok: false,
  } as const;
  for (let count = 0; count < 3; count++) s.apply(late);
  expect(s.instance('gs-1').state).toBe('up');
});

test('a probe that the agent could not make changes no state, but shows its error', () => {
  const s = bothUp();
  const blind = { ok: false, blind: true, error: 'this agent has no file descriptor left' };
  for (let count = 0; count < 9; count++)
    s.apply({ kind: 'probe', service: 'gs', instance: 'gs-1', at: s.now(), latencyMs: 1, ...blind });
  expect(s.instance('gs-1')).toMatchObject({ state: 'up', lastProbe: blind });
  s.probe('gs-1', false, 3);
  expect(s.instance('gs-1').state).toBe('down');
});

test('the breaker opens on real traffic, admits trial calls after its open time, and closes when they succeed', () => {
  const s = bothUp();
  s.traffic('gs-1', 5, 5);
  expect(s.instance('gs-1')).toMatchObject({ state: 'down', breaker: 'open', health: 'up' });
  expect(s.instance('gs-1').reason).toMatch(/^breaker open: 5 of 10 calls failed; trial at \d\d:/);
  s.wait(29_000);
  expect(s.instance('gs-1').breaker).toBe('open');
  s.wait(1_000);
  expect(s.instance('gs-1')).toMatchObject({ state: 'probation', breaker: 'half_open' });
  s.traffic('gs-1', 5, 0);
  expect(s.instance('gs-1')).toMatchObject({ state: 'up', breaker: 'closed' });
});

test('slow calls open the breaker too', () => {
  const s = bothUp();
  s.traffic('gs-1', 10, 0, 10);
  expect(s.instance('gs-1').reason).toContain('10 of 10 calls took longer than 15 s');
});

test('an open breaker keeps the last serving instance in service until another one is up', () => {
  const s = bothUp();
  s.traffic('gs-1', 0, 10);
  s.traffic('gs-2', 0, 10);
  expect(s.instance('gs-1').state).toBe('down');
  expect(s.instance('gs-2')).toMatchObject({ state: 'probation', breaker: 'open' });
  expect(s.instance('gs-2').reason).toContain('no other instance is up');
  s.wait(30_000);
  s.traffic('gs-1', 5, 0);
  expect(s.instance('gs-1').state).toBe('up');
});

test('when the last good instance dies, exactly one of those with an open breaker stays in service', () => {
  const s = bothUp();
  s.register('gs-3');
  s.probe('gs-3', true, 2);
  s.wait(30_000);
  s.traffic('gs-1', 0, 10);
  s.traffic('gs-2', 0, 10);
  s.probe('gs-3', false, 3);
  s.wait(250);
  const states = () => ['gs-1', 'gs-2', 'gs-3'].map((id) => s.instance(id).state);
  expect(states()).toEqual(['probation', 'down', 'down']);
  const before = s.changes.length;
  s.wait(250);
  s.wait(250);
  expect(states()).toEqual(['probation', 'down', 'down']);
  expect(s.changes.slice(before)).toEqual([]);
});

test('the operator overrides the breaker, and the breaker overrides health', () => {
  const s = bothUp();
  s.probe('gs-1', false, 3);
  s.traffic('gs-1', 0, 10);
  expect(s.instance('gs-1').reason).toMatch(/^breaker open/);
  s.apply({
    kind: 'admin',
    service: 'gs',
    instance: 'gs-1',
    admin: 'maint',
    reason: 'requested by ada',
    by: 'ada',
  });
  expect(s.instance('gs-1')).toMatchObject({ state: 'down', reason: 'maintenance requested by an operator' });
  expect(s.changes.at(-1)).toMatchObject({ kind: 'admin', from: 'ready', to: 'maint', by: 'ada' });
});

test('a draining instance serves until its deadline, then goes to maint; a dead instance is down, not draining', () => {
  const s = bothUp();
  const drain = (id: string) =>
    s.apply({
      kind: 'admin',
      service: 'gs',
      instance: id,
      admin: 'drain',
      deadline: s.now() + 60_000,
      reason: 'test',
    });
  drain('gs-1');
  expect(s.instance('gs-1').state).toBe('draining');
  drain('gs-2');
  s.probe('gs-2', false, 3);
  expect(s.instance('gs-2')).toMatchObject({ state: 'down' });
  expect(s.instance('gs-2').reason).toMatch(/^3 of 3 probes failed.* \(a drain is also requested\)$/);
  s.wait(60_000);
  expect(s.instance('gs-1')).toMatchObject({ admin: 'maint', state: 'down' });
  expect(s.instance('gs-1').drainDeadline).toBeUndefined();
});

test('an instance that falls repeatedly is held down until its penalty has decayed', () => {
  const s = bothUp();
  for (let fall = 0; fall < 3; fall++) {
    s.probe('gs-1', false, 3);
    s.probe('gs-1', true, 2);
  }
  expect(s.instance('gs-1')).toMatchObject({ state: 'down', health: 'up' });
  expect(s.instance('gs-1').reason).toMatch(/^flapping: held down after 3 falls until/);
  s.wait(110_000);
  expect(s.instance('gs-1').state).toBe('down');
  s.wait(15_000);
  expect(s.instance('gs-1').state).toBe('up');
});

test('restarts under maintenance do not count as falls', () => {
  const s = bothUp();
  const setAdmin = (admin: 'maint' | 'ready') =>
    s.apply({ kind: 'admin', service: 'gs', instance: 'gs-1', admin, reason: 'test' });
  setAdmin('maint');
  for (let restart = 0; restart < 5; restart++) {
    s.probe('gs-1', false, 3);
    s.probe('gs-1', true, 2);
  }
  setAdmin('ready');
  expect(s.instance('gs-1').state).toBe('probation');
});

test('two falls in a minute do not hold an instance down', () => {
  const s = bothUp();
  for (let fall = 0; fall < 2; fall++) {
    s.probe('gs-1', false, 3);
    s.probe('gs-1', true, 2);
  }
  expect(s.instance('gs-1').state).toBe('probation');
});

test('a registration expires without heartbeats', () => {
  const s = bothUp();
  s.register('gs-3', 10_000);
  s.wait(9_000);
  s.apply({ kind: 'heartbeat', service: 'gs', instance: 'gs-3' });
  s.wait(9_000);
  expect(s.instance('gs-3').expiresAt).toBe(s.now() + 1_000);
  s.wait(1_000);
  expect(s.records.has('gs/gs-3')).toBe(false);
  expect(s.changes.at(-1)).toMatchObject({
    kind: 'deregistered',
    reason: expect.stringContaining('no heartbeat'),
  });
});

test('a new address starts an instance over; a new weight or priority does not', () => {
  const s = bothUp();
  const source = s.records.get('gs/gs-1')?.source;
  if (!source) throw new Error('gone');
  s.apply({
    kind: 'register',
    source: { ...source, weight: 50, priority: 2 },
    known: false,
    reason: 'reload',
  });
  expect(s.instance('gs-1')).toMatchObject({ state: 'up', weight: 50, priority: 2 });
  s.apply({ kind: 'weight', service: 'gs', instance: 'gs-1', weight: 7, reason: 'test' });
  s.apply({ kind: 'register', source: { ...source, weight: 50 }, known: false, reason: 'reload' });
  expect(s.instance('gs-1').weight).toBe(7);
  s.apply({
    kind: 'register',
    source: { ...source, url: 'http://127.0.0.1:9' },
    known: false,
    reason: 'reload',
  });
  expect(s.instance('gs-1')).toMatchObject({ state: 'down', health: 'unknown' });
});

test('a slow first response or the time to connect does not count as latency', () => {
  const s = startJudge();
  const at = (latencyMs: number, timing = {}) =>
    s.apply({ kind: 'probe', service: 'gs', instance: 'gs-1', at: s.now(), latencyMs, ok: true, timing });
  at(30);
  s.wait(1_000);
  at(2);
  expect(s.instance('gs-1').latencyMs).toBe(2);
  s.wait(1_000);
  at(9, { connectMs: 6 });
  expect(s.instance('gs-1').latencyMs).toBe(3);
});

test('after the clock is set back by an hour, probes still count and no hold lasts an hour', () => {
  const s = bothUp();
  s.wait(-3_600_000);
  s.probe('gs-1', false, 3);
  expect(s.instance('gs-1').state).toBe('down');
  s.probe('gs-1', true, 2);
  expect(s.instance('gs-1').state).toBe('probation');
  s.wait(-3_600_000);
  expect(s.instance('gs-1').state).toBe('up');
});

test('a registration that moves into the file no longer expires', () => {
  const s = bothUp();
  s.register('gs-3', 10_000);
  const { ttl: _, ...source } = s.records.get('gs/gs-3')?.source ?? missing();
  s.apply({ kind: 'register', source: { ...source, origin: 'file' }, known: false, reason: 'reload' });
  s.wait(60_000);
  expect(s.instance('gs-3')).toMatchObject({ origin: 'file' });
});

test('maintenance survives a new address', () => {
  const s = bothUp();
  const source = s.records.get('gs/gs-1')?.source ?? missing();
  s.apply({ kind: 'admin', service: 'gs', instance: 'gs-1', admin: 'maint', reason: 'test' });
  const moved = { ...source, url: 'http://127.0.0.1:9' };
  s.apply({ kind: 'register', source: moved, known: false, reason: 'reload' });
  s.probe('gs-1', true, 2);
  expect(s.instance('gs-1')).toMatchObject({ admin: 'maint', state: 'down', health: 'up' });
});

function missing(): never {
  throw new Error('no such record');
}

import { expect, test } from 'vitest';
import { parseConfig } from '../../shared/config/load.ts';
import { type Change, instanceKey } from '../core/state.ts';
import type { InstanceRecord } from './instance-record.ts';
import { type JudgeEvent, step } from './step.ts';

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

/** A judge with two instances, and time in our hands. */
function scene(known = true) {
  const book = new Map<string, InstanceRecord>();
  const changes: Change[] = [];
  let now = START;
  const tell = (event: JudgeEvent) => {
    const outcome = step(book, event, config.services, now);
    for (const record of outcome.records)
      book.set(instanceKey(record.instance.service, record.instance.id), record);
    for (const key of outcome.removed) book.delete(key);
    changes.push(...outcome.changes);
    return outcome;
  };
  const register = (id: string, ttl?: number) =>
    tell({
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
      tell({ kind: 'probe', service: 'gs', instance: id, at: now, latencyMs: 1, ok, ...error });
      now += 10;
    }
  };
  const traffic = (id: string, success: number, failure: number, slow = 0) =>
    tell({
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
    tell({ kind: 'tick' });
  };
  const see = (id: string) => {
    const record = book.get(`gs/${id}`);
    if (!record) throw new Error(`no ${id}`);
    return record.instance;
  };
  register('gs-1');
  register('gs-2');
  return { book, changes, tell, register, probe, traffic, wait, see, now: () => now };
}

function bothUp(known = true) {
  const s = scene(known);
  s.probe('gs-1', true, 2);
  s.probe('gs-2', true, 2);
  if (!known) s.wait(30_000);
  s.changes.length = 0;
  return s;
}

test('unproven until rise passes, whatever else is said of it', () => {
  const s = scene();
  expect(s.see('gs-1')).toMatchObject({ state: 'down', health: 'unknown', reason: 'not probed yet' });
  s.probe('gs-1', true);
  expect(s.see('gs-1')).toMatchObject({ state: 'down', reason: 'not proven yet: 1 of 2 probes passed' });
  s.probe('gs-1', false);
  s.probe('gs-1', true);
  expect(s.see('gs-1').state).toBe('down');
  s.probe('gs-1', true);
  expect(s.see('gs-1')).toMatchObject({ state: 'up', health: 'up', reason: '2 of 2 probes passed' });
});

test('a newcomer is on probation for its slow start, an instance known at start is not', () => {
  const s = scene(false);
  s.probe('gs-1', true, 2);
  expect(s.see('gs-1').state).toBe('probation');
  const served = s.see('gs-1').servingSince;
  s.wait(29_000);
  expect(s.see('gs-1').state).toBe('probation');
  s.wait(1_000);
  expect(s.see('gs-1')).toMatchObject({ state: 'up', servingSince: served });
});

test('one lost probe proves nothing, three do, and the reason says what they met', () => {
  const s = bothUp();
  s.probe('gs-1', false, 2);
  s.probe('gs-1', true);
  s.probe('gs-1', false, 2);
  expect(s.see('gs-1').state).toBe('up');
  s.probe('gs-1', false);
  expect(s.see('gs-1')).toMatchObject({
    state: 'down',
    reason: '3 of 3 probes failed: connect refused 127.0.0.1:8004',
  });
  expect(s.changes.map(({ kind, from, to }) => `${kind} ${from}→${to}`)).toEqual([
    'health up→down',
    'state up→down',
  ]);
  s.probe('gs-1', true, 2);
  expect(s.see('gs-1').state).toBe('probation');
});

test('an answer that began before the newest judged one is old news', () => {
  const s = bothUp();
  const late = {
    kind: 'probe',
    service: 'gs',
    instance: 'gs-1',
    at: s.now() + 3_000,
    latencyMs: 3_500,
    ok: false,
  } as const;
  for (let count = 0; count < 3; count++) s.tell(late);
  expect(s.see('gs-1').state).toBe('up');
});

test('a probe that could not be made proves nothing, and says why', () => {
  const s = bothUp();
  const blind = { ok: false, blind: true, error: 'this agent has no file descriptor left' };
  for (let count = 0; count < 9; count++)
    s.tell({ kind: 'probe', service: 'gs', instance: 'gs-1', at: s.now(), latencyMs: 1, ...blind });
  expect(s.see('gs-1')).toMatchObject({ state: 'up', lastProbe: blind });
  s.probe('gs-1', false, 3);
  expect(s.see('gs-1').state).toBe('down');
});

test('the breaker opens on real traffic, tries again after its time, and closes on good calls', () => {
  const s = bothUp();
  s.traffic('gs-1', 5, 5);
  expect(s.see('gs-1')).toMatchObject({ state: 'down', breaker: 'open', health: 'up' });
  expect(s.see('gs-1').reason).toMatch(/^breaker open: 5 of 10 calls failed; trial at \d\d:/);
  s.wait(29_000);
  expect(s.see('gs-1').breaker).toBe('open');
  s.wait(1_000);
  expect(s.see('gs-1')).toMatchObject({ state: 'probation', breaker: 'half_open' });
  s.traffic('gs-1', 5, 0);
  expect(s.see('gs-1')).toMatchObject({ state: 'up', breaker: 'closed' });
});

test('slow calls open it too', () => {
  const s = bothUp();
  s.traffic('gs-1', 10, 0, 10);
  expect(s.see('gs-1').reason).toContain('10 of 10 calls took longer than 15 s');
});

test('the breaker never takes the last instance that answers, and lets go of it when another comes back', () => {
  const s = bothUp();
  s.traffic('gs-1', 0, 10);
  s.traffic('gs-2', 0, 10);
  expect(s.see('gs-1').state).toBe('down');
  expect(s.see('gs-2')).toMatchObject({ state: 'probation', breaker: 'open' });
  expect(s.see('gs-2').reason).toContain('no other instance is up');
  s.wait(30_000);
  s.traffic('gs-1', 5, 0);
  expect(s.see('gs-1').state).toBe('up');
});

test('of several that are out, one is kept in service when the last good one dies, and stays the one', () => {
  const s = bothUp();
  s.register('gs-3');
  s.probe('gs-3', true, 2);
  s.wait(30_000);
  s.traffic('gs-1', 0, 10);
  s.traffic('gs-2', 0, 10);
  s.probe('gs-3', false, 3);
  s.wait(250);
  const states = () => ['gs-1', 'gs-2', 'gs-3'].map((id) => s.see(id).state);
  expect(states()).toEqual(['probation', 'down', 'down']);
  const before = s.changes.length;
  s.wait(250);
  s.wait(250);
  expect(states()).toEqual(['probation', 'down', 'down']);
  expect(s.changes.slice(before)).toEqual([]);
});

test('operator beats breaker beats health', () => {
  const s = bothUp();
  s.probe('gs-1', false, 3);
  s.traffic('gs-1', 0, 10);
  expect(s.see('gs-1').reason).toMatch(/^breaker open/);
  s.tell({
    kind: 'admin',
    service: 'gs',
    instance: 'gs-1',
    admin: 'maint',
    reason: 'asked for by ada',
    by: 'ada',
  });
  expect(s.see('gs-1')).toMatchObject({ state: 'down', reason: 'maintenance asked for by an operator' });
  expect(s.changes.at(-1)).toMatchObject({ kind: 'admin', from: 'ready', to: 'maint', by: 'ada' });
});

test('a drain keeps serving until its deadline turns it into maint; a dead one drains nothing', () => {
  const s = bothUp();
  const drain = (id: string) =>
    s.tell({
      kind: 'admin',
      service: 'gs',
      instance: id,
      admin: 'drain',
      deadline: s.now() + 60_000,
      reason: 'test',
    });
  drain('gs-1');
  expect(s.see('gs-1').state).toBe('draining');
  drain('gs-2');
  s.probe('gs-2', false, 3);
  expect(s.see('gs-2')).toMatchObject({ state: 'down' });
  expect(s.see('gs-2').reason).toMatch(/^3 of 3 probes failed.* \(a drain is asked for as well\)$/);
  s.wait(60_000);
  expect(s.see('gs-1')).toMatchObject({ admin: 'maint', state: 'down' });
  expect(s.see('gs-1').drainDeadline).toBeUndefined();
});

test('an instance that falls again and again is held back until it has calmed down', () => {
  const s = bothUp();
  for (let fall = 0; fall < 3; fall++) {
    s.probe('gs-1', false, 3);
    s.probe('gs-1', true, 2);
  }
  expect(s.see('gs-1')).toMatchObject({ state: 'down', health: 'up' });
  expect(s.see('gs-1').reason).toMatch(/^held back after 3 falls until/);
  s.wait(110_000);
  expect(s.see('gs-1').state).toBe('down');
  s.wait(15_000);
  expect(s.see('gs-1').state).toBe('up');
});

test('two falls in a minute are forgiven', () => {
  const s = bothUp();
  for (let fall = 0; fall < 2; fall++) {
    s.probe('gs-1', false, 3);
    s.probe('gs-1', true, 2);
  }
  expect(s.see('gs-1').state).toBe('probation');
});

test('a registration lives as long as its heartbeats', () => {
  const s = bothUp();
  s.register('gs-3', 10_000);
  s.wait(9_000);
  s.tell({ kind: 'heartbeat', service: 'gs', instance: 'gs-3' });
  s.wait(9_000);
  expect(s.see('gs-3').expiresAt).toBe(s.now() + 1_000);
  s.wait(1_000);
  expect(s.book.has('gs/gs-3')).toBe(false);
  expect(s.changes.at(-1)).toMatchObject({
    kind: 'deregistered',
    reason: expect.stringContaining('no heartbeat'),
  });
});

test('another address makes it a stranger; another weight or priority does not', () => {
  const s = bothUp();
  const source = s.book.get('gs/gs-1')?.source;
  if (!source) throw new Error('gone');
  s.tell({
    kind: 'register',
    source: { ...source, weight: 50, priority: 2 },
    known: false,
    reason: 'reload',
  });
  expect(s.see('gs-1')).toMatchObject({ state: 'up', weight: 50, priority: 2 });
  s.tell({ kind: 'weight', service: 'gs', instance: 'gs-1', weight: 7, reason: 'asked' });
  s.tell({ kind: 'register', source: { ...source, weight: 50 }, known: false, reason: 'reload' });
  expect(s.see('gs-1').weight).toBe(7);
  s.tell({
    kind: 'register',
    source: { ...source, url: 'http://127.0.0.1:9' },
    known: false,
    reason: 'reload',
  });
  expect(s.see('gs-1')).toMatchObject({ state: 'down', health: 'unknown' });
});

test('one cold first answer does not mark an instance as slow, nor does connecting', () => {
  const s = scene();
  const at = (latencyMs: number, timing = {}) =>
    s.tell({ kind: 'probe', service: 'gs', instance: 'gs-1', at: s.now(), latencyMs, ok: true, timing });
  at(30);
  s.wait(1_000);
  at(2);
  expect(s.see('gs-1').latencyMs).toBe(2);
  s.wait(1_000);
  at(9, { connectMs: 6 });
  expect(s.see('gs-1').latencyMs).toBe(3);
});

test('a clock set back by an hour leaves probes in force, and nothing held for an hour', () => {
  const s = bothUp();
  s.wait(-3_600_000);
  s.probe('gs-1', false, 3);
  expect(s.see('gs-1').state).toBe('down');
  s.probe('gs-1', true, 2);
  expect(s.see('gs-1').state).toBe('probation');
  s.wait(-3_600_000);
  expect(s.see('gs-1').state).toBe('up');
});

test('a registration that comes into the file no longer runs out', () => {
  const s = bothUp();
  s.register('gs-3', 10_000);
  const { ttl: _, ...source } = s.book.get('gs/gs-3')?.source ?? bug();
  s.tell({ kind: 'register', source: { ...source, origin: 'file' }, known: false, reason: 'reload' });
  s.wait(60_000);
  expect(s.see('gs-3')).toMatchObject({ origin: 'file' });
});

test('maintenance asked for survives a new address', () => {
  const s = bothUp();
  const source = s.book.get('gs/gs-1')?.source ?? bug();
  s.tell({ kind: 'admin', service: 'gs', instance: 'gs-1', admin: 'maint', reason: 'asked' });
  const moved = { ...source, url: 'http://127.0.0.1:9' };
  s.tell({ kind: 'register', source: moved, known: false, reason: 'reload' });
  s.probe('gs-1', true, 2);
  expect(s.see('gs-1')).toMatchObject({ admin: 'maint', state: 'down', health: 'up' });
});

function bug(): never {
  throw new Error('no such record');
}

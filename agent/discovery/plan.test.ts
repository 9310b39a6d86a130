import { expect, test } from 'vitest';
import { parseConfig } from '../../shared/config/load.ts';
import { createLoop } from '../core/loop.ts';
import { instanceKey } from '../core/state.ts';
import { initialRecords } from '../judge/initial.ts';
import { shiftRecord } from '../judge/shift.ts';
import { step } from '../judge/step.ts';
import { applyIntent } from '../registry/apply-intent.ts';
import type { Intent } from '../registry/intent.ts';
import type { IntentRequest } from '../registry/intent-driver.ts';
import { requestedIntent } from '../registry/intent-state.ts';
import { instanceId, toInstanceList } from './list.ts';
import { planList, planRemovals } from './plan.ts';

const SCOPE = { service: 'web', source: 'dns web.internal' };
const limits = { minimum: 2, maximum: 4 };

const configOf = (service: object) =>
  parseConfig(
    JSON.stringify({
      version: 1,
      site: { id: 'main' },
      services: { web: { routes: ['/'], ...service }, other: { routes: ['/other'] } },
    }),
  );
const source = { dns: 'web.internal', port: 80, ...limits, drain: '30s' };

/** The registry and the judge without files and timers. */
function site(service: object = { instancesFrom: source }) {
  let config = configOf(service);
  let now = 1_000_000;
  const intents = new Map<string, Intent>();
  const loop = createLoop({
    step,
    shift: shiftRecord,
    initialRecords: initialRecords(config, null, now),
    policies: config.services,
    hostLoad: () => ({ cpuPercent: 0, memoryPercent: 0 }),
    onListenerError() {},
    now: () => now,
    clock: () => now,
  });
  const deps = { config: () => config, instances: loop.instances, apply: loop.apply };
  const view = () => ({ intents, instances: loop.instances() });
  function apply(requests: readonly IntentRequest[], by = 'discovery'): void {
    for (const [key, changes] of requests) {
      const intent = requestedIntent(intents.get(key), { changes, by }, now);
      intents.set(key, intent);
      applyIntent(deps, key, intent);
    }
  }
  return {
    apply,
    loop,
    reconfigure(next: object) {
      config = configOf(next);
    },
    list(hosts: readonly (number | { id: string; host: number })[], problems: string[] = []): string[] {
      const entries = hosts.map((one) => ({
        ...(typeof one === 'object' && { id: one.id }),
        url: `http://10.0.0.${typeof one === 'object' ? one.host : one}`,
        weight: 100,
        priority: 1,
      }));
      const list = toInstanceList(entries, problems, SCOPE);
      const { requests, refusals } = planList({ service: 'web', limits, list }, view(), now);
      apply(requests);
      return refusals;
    },
    pass(seconds: number) {
      now += seconds * 1_000;
      apply(planRemovals(config.services, view(), now));
    },
    busy: (id: string, inflight: number) =>
      loop.apply({
        kind: 'traffic',
        source: 'haproxy',
        service: 'web',
        instance: id,
        at: now,
        success: 0,
        failure: 0,
        slow: 0,
        inflight,
        queued: 0,
      }),
    states: () =>
      Object.fromEntries(
        [...loop.instances().values()].map(({ id, state, admin }) => [id, `${state} ${admin}`]),
      ),
    intent: (id: string) => intents.get(instanceKey('web', id)),
    ids: () => [...loop.instances().values()].map(({ id }) => id).sort(),
  };
}

const ID = (host: number) => `web-10.0.0.${host}-80`;

test('new instances are unknown and take no traffic until their probes pass', () => {
  const one = site();
  expect(one.list([1, 2])).toEqual([]);
  expect(one.loop.instances().get(`web/${ID(1)}`)).toMatchObject({
    state: 'down',
    health: 'unknown',
    origin: 'discovered',
    source: 'dns web.internal',
  });
  for (let count = 0; count < 2; count++) {
    one.pass(1);
    one.loop.apply({
      kind: 'probe',
      service: 'web',
      instance: ID(1),
      at: 1_001_000 + count,
      ok: true,
      latencyMs: 1,
    });
  }
  expect(one.states()[ID(1)]).toBe('probation ready');
});

test('an instance that leaves drains, and goes when it is idle or when its time is over', () => {
  const one = site();
  one.list([1, 2, 3, 4]);
  one.busy(ID(3), 7);
  expect(one.list([1, 2])).toEqual([]);
  expect(one.states()).toMatchObject({ [ID(3)]: 'down drain', [ID(4)]: 'down drain' });
  one.pass(3);
  expect(one.ids()).toEqual([ID(1), ID(2), ID(3)]);
  one.pass(26);
  expect(one.ids()).toContain(ID(3));
  one.pass(1);
  expect(one.ids()).toEqual([ID(1), ID(2)]);
});

test('an instance that comes back serves again; the drain of an operator stays', () => {
  const one = site();
  one.list([1, 2, 3, 4]);
  one.apply([[`web/${ID(4)}`, { admin: { state: 'drain' } }]], 'alice');
  one.list([1, 2]);
  one.list([1, 2, 3, 4]);
  expect(one.states()).toMatchObject({ [ID(3)]: 'down ready', [ID(4)]: 'down drain' });
  one.pass(60);
  expect(one.ids()).toHaveLength(4);
});

test('a list below the minimum adds, removes nothing, and says so', () => {
  const one = site();
  one.list([1, 2]);
  expect(one.list([3])).toEqual(['it lists 1 instance; the minimum is 2']);
  one.pass(60);
  expect(one.ids()).toEqual([ID(1), ID(2), ID(3)]);
  expect(one.list([])).toEqual(['it lists 0 instances; the minimum is 2']);
  expect(one.list([2, 3])).toEqual([]);
  one.pass(4);
  expect(one.ids()).toEqual([ID(2), ID(3)]);
});

test('a list with an entry that cannot be used removes nothing', () => {
  const one = site();
  one.list([1, 2]);
  expect(one.list([2, 3], ['entry 1: "x" is not allowed'])).toEqual(['entry 1: "x" is not allowed']);
  expect(one.ids()).toEqual([ID(1), ID(2), ID(3)]);
});

test('no more instances than the maximum', () => {
  const one = site();
  one.list([1, 2]);
  expect(one.list([1, 2, 3, 4, 5, 6])).toEqual(['it lists 6 instances; the maximum is 4']);
  expect(one.ids()).toEqual([ID(1), ID(2), ID(3), ID(4)]);
});

test('what the file has is left out, what another service uses is refused', () => {
  const one = site({ instancesFrom: source, instances: [{ id: 'web-1', url: 'http://10.0.0.1' }] });
  expect(one.list([1, 2, 3])).toEqual([]);
  expect(one.ids()).toEqual(['web-1', ID(2), ID(3)]);
  one.loop.apply({
    kind: 'register',
    source: {
      id: 'taken',
      service: 'other',
      url: 'http://10.0.0.9',
      weight: 100,
      priority: 1,
      metadata: {},
      origin: 'api',
    },
    known: false,
    reason: 'test',
  });
  expect(one.list([1, 2, 3, { id: 'taken', host: 4 }])).toEqual([
    'the id taken is in use by an instance of other',
  ]);
});

test('an address with a new id moves to it', () => {
  const one = site();
  one.list([1, 2]);
  expect(one.list([1, { id: 'second', host: 2 }])).toEqual([]);
  one.pass(4);
  expect(one.list([1, { id: 'second', host: 2 }])).toEqual([]);
  expect(one.ids()).toEqual(['second', ID(1)]);
});

test('a service without a source loses its listed instances, and so does an address that is now in the file', () => {
  const one = site();
  one.list([1, 2]);
  one.reconfigure({ instancesFrom: source, instances: [{ id: 'web-1', url: 'http://10.0.0.1' }] });
  one.pass(1);
  expect(one.ids()).toEqual([ID(2)]);
  one.reconfigure({});
  one.pass(1);
  expect(one.ids()).toEqual([]);
  expect(one.intent(ID(2))).toMatchObject({ removed: true, unlisted: true });
});

test('ids come from the address alone, and fit', () => {
  expect(instanceId('web', 'http://10.0.0.5:8080')).toBe('web-10.0.0.5-8080');
  expect(instanceId('web', 'https://[fd00::1]')).toBe('web-fd00--1-443');
  const long = instanceId('s'.repeat(63), 'http://[fd00:1:2:3:4:5:6:7]:65535');
  expect(long).toMatch(/^s{40}-[0-9a-f]{16}$/);
});

test('an address or an id that is listed twice', () => {
  const entry = { url: 'http://10.0.0.1', weight: 100, priority: 1 };
  expect(toInstanceList([entry, entry], [], SCOPE)).toMatchObject({
    registrations: [{ id: ID(1) }],
    problems: [],
  });
  expect(
    toInstanceList(
      [
        { ...entry, id: 'a' },
        { ...entry, id: 'b' },
      ],
      [],
      SCOPE,
    ).problems,
  ).toEqual(['http://10.0.0.1 is listed twice, as a and b']);
  expect(
    toInstanceList(
      [
        { ...entry, id: 'a' },
        { ...entry, url: 'http://10.0.0.2', id: 'a' },
      ],
      [],
      SCOPE,
    ).problems,
  ).toEqual(['the id "a" is listed twice, with http://10.0.0.1 and http://10.0.0.2']);
});

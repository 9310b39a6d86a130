import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { parseConfig } from '../../shared/config/load.ts';
import { createLoop } from '../core/loop.ts';
import { initialRecords } from '../judge/initial.ts';
import { shiftRecord } from '../judge/shift.ts';
import { step } from '../judge/step.ts';
import { openRegistry, type Registry } from './registry.ts';

const config = parseConfig(`
version: 1
site: { id: main }
services: { gs: { routes: [/], instances: [{ id: gs-1, url: "http://127.0.0.1:1" }] } }
`);
const stateDirs: string[] = [];
const opened: Registry[] = [];
afterEach(async () => {
  for (const one of opened.splice(0)) await one.close();
  for (const folder of stateDirs.splice(0)) rmSync(folder, { recursive: true, force: true });
});

const registration = (id: string, port: number) => ({
  id,
  service: 'gs',
  url: `http://127.0.0.1:${port}`,
  weight: 100,
  priority: 1,
  metadata: {},
});

/** An agent's registry over an empty folder, and its instances. */
async function open(now: () => number) {
  const folder = mkdtempSync(join(tmpdir(), 'acgs-registry-'));
  stateDirs.push(folder);
  const loop = createLoop({
    step,
    shift: shiftRecord,
    initialRecords: initialRecords(config, null, 0),
    policies: config.services,
    hostLoad: () => ({ cpuPercent: 0, memoryPercent: 0 }),
    onListenerError() {},
    now,
    clock: now,
  });
  const registry = await openRegistry({
    config: () => config,
    stateDir: folder,
    instances: loop.instances,
    apply: loop.apply,
    now,
    onError(error) {
      throw error;
    },
  });
  loop.addListener({ name: 'registry', accept: registry.accept });
  opened.push(registry);
  return { registry, loop };
}

/** Two agents that exchange intents only on demand. Times are in seconds. */
async function pair() {
  const clocks = { a: 1_000, b: 1_000 };
  const [a, b] = [await open(() => clocks.a * 1_000), await open(() => clocks.b * 1_000)];
  const exchange = () => {
    b.registry.merge(new Map(a.registry.intents()));
    a.registry.merge(new Map(b.registry.intents()));
  };
  const adminStates = (id: string) => [a, b].map(({ loop }) => loop.instances().get(`gs/${id}`)?.admin);
  const advance = (seconds: number, awake: 'a' | 'both' = 'both') => {
    clocks.a += seconds;
    clocks.b += seconds;
    for (const { loop } of awake === 'a' ? [a] : [a, b]) {
      loop.tick();
      void loop.refresh(false);
    }
  };
  return { a: a.registry, b: b.registry, clocks, exchange, adminStates, advance };
}

test('the newer request wins, even if the clocks of the agents differ', async () => {
  const { a, b, clocks, exchange, adminStates } = await pair();
  clocks.a += 3_600;
  await a.setAdmin('gs', 'gs-1', { state: 'maint' }, 'test');
  exchange();
  await b.setAdmin('gs', 'gs-1', { state: 'ready' }, 'test');
  exchange();
  expect(adminStates('gs-1')).toEqual(['ready', 'ready']);
});

test('a heartbeat to one agent does not undo a request to the other', async () => {
  const { a, b, exchange, adminStates, advance } = await pair();
  await a.register({ ...registration('s', 2), ttl: 10_000 }, 'test');
  exchange();
  advance(1);
  await b.setAdmin('gs', 's', { state: 'maint' }, 'test');
  advance(1);
  a.heartbeat('gs', 's');
  exchange();
  exchange();
  expect(adminStates('s')).toEqual(['maint', 'maint']);
});

test('a registration that expired at one agent comes back from the agent that received its heartbeats', async () => {
  const { a, b, exchange, adminStates, advance } = await pair();
  await a.register({ ...registration('s', 2), ttl: 10_000 }, 'test');
  exchange();
  for (let beat = 0; beat < 4; beat++) {
    advance(4);
    a.heartbeat('gs', 's');
  }
  expect(adminStates('s')).toEqual(['ready', undefined]);
  exchange();
  expect(adminStates('s')).toEqual(['ready', 'ready']);
  // While the other agent is known to be unreachable, it does not expire.
  for (let beat = 0; beat < 4; beat++) {
    advance(4);
    a.heartbeat('gs', 's');
    b.creditMissedHeartbeats(true);
  }
  expect(adminStates('s')).toEqual(['ready', 'ready']);
  // Without heartbeats it expires at both agents.
  advance(20);
  exchange();
  advance(0);
  expect(adminStates('s')).toEqual([undefined, undefined]);
});

test('an agent that was paused does not remove a registration whose heartbeats reached the other agent', async () => {
  const { a, b, exchange, adminStates, advance } = await pair();
  await a.register({ ...registration('s', 2), ttl: 10_000 }, 'test');
  exchange();
  for (let beat = 0; beat < 4; beat++) {
    advance(4, 'a');
    a.heartbeat('gs', 's');
  }
  // It resumes, and the registration expires there seconds after the last heartbeat.
  advance(2);
  expect(adminStates('s')).toEqual(['ready', undefined]);
  a.merge(new Map(b.intents()));
  expect(adminStates('s')).toEqual(['ready', undefined]);
  b.merge(new Map(a.intents()));
  expect(adminStates('s')).toEqual(['ready', 'ready']);
  // The other agent now receives the heartbeats of the restored registration.
  advance(9);
  b.creditMissedHeartbeats(true);
  advance(9);
  expect(adminStates('s')).toEqual([undefined, 'ready']);
});

test('an instance deregistered and registered again between two exchanges starts over at the other agent', async () => {
  const { a, exchange, adminStates } = await pair();
  await a.register(registration('s', 2), 'test');
  await a.setAdmin('gs', 's', { state: 'maint' }, 'test');
  exchange();
  expect(adminStates('s')).toEqual(['maint', 'maint']);
  await a.deregister('gs', 's', 'test', 'clear-settings');
  await a.register(registration('s', 2), 'test');
  exchange();
  expect(adminStates('s')).toEqual(['ready', 'ready']);
});

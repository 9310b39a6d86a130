import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { parseConfig } from '../../shared/config/load.ts';
import { createLoop } from '../core/loop.ts';
import { initialRecords } from '../judge/initial.ts';
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
  ...{ id, service: 'gs', url: `http://127.0.0.1:${port}`, weight: 100, priority: 1, metadata: {} },
});

/** An agent's registry over an empty folder, and its instances. */
async function open(now: () => number) {
  const folder = mkdtempSync(join(tmpdir(), 'acgs-registry-'));
  stateDirs.push(folder);
  const loop = createLoop({
    initialRecords: initialRecords(config, null, 0),
    policies: config.services,
    listeners: [{ name: 'registry', accept: (update) => opening?.accept(update) }],
    hostLoad: () => ({ cpuPercent: 0, memoryPercent: 0 }),
    onRecordUpdated() {},
    onListenerError() {},
    now,
  });
  let opening: Registry | undefined;
  opening = await openRegistry({
    ...{ config: () => config, stateDir: folder, instances: loop.instances, apply: loop.apply, now },
    onError(error) {
      throw error;
    },
  });
  opened.push(opening);
  return { registry: opening, loop };
}

/** Two agents that hear of each other's wishes only when told to. Seconds. */
async function pair() {
  const clocks = { a: 1_000, b: 1_000 };
  const [a, b] = [await open(() => clocks.a * 1_000), await open(() => clocks.b * 1_000)];
  const exchange = () => {
    b.registry.merge(new Map(a.registry.intents()));
    a.registry.merge(new Map(b.registry.intents()));
  };
  const see = (id: string) => [a, b].map(({ loop }) => loop.instances().get(`gs/${id}`)?.admin);
  const later = (seconds: number, awake: 'a' | 'both' = 'both') => {
    clocks.a += seconds;
    clocks.b += seconds;
    for (const { loop } of awake === 'a' ? [a] : [a, b]) {
      loop.tick();
      loop.refresh(false);
    }
  };
  return { a: a.registry, b: b.registry, clocks, exchange, see, later };
}

test('the later wish wins, whatever the clocks of two agents say', async () => {
  const { a, b, clocks, exchange, see } = await pair();
  clocks.a += 3_600;
  await a.setAdmin('gs', 'gs-1', 'maint', undefined, 'test');
  exchange();
  await b.setAdmin('gs', 'gs-1', 'ready', undefined, 'test');
  exchange();
  expect(see('gs-1')).toEqual(['ready', 'ready']);
});

test('a heartbeat told to one agent undoes no wish told to the other', async () => {
  const { a, b, exchange, see, later } = await pair();
  await a.register({ ...registration('s', 2), ttl: 10_000 }, 'test');
  exchange();
  later(1);
  await b.setAdmin('gs', 's', 'maint', undefined, 'test');
  later(1);
  a.heartbeat('gs', 's');
  exchange();
  exchange();
  expect(see('s')).toEqual(['maint', 'maint']);
});

test('what runs out with the agent that heard no heartbeat comes back from the one that did', async () => {
  const { a, b, exchange, see, later } = await pair();
  await a.register({ ...registration('s', 2), ttl: 10_000 }, 'test');
  exchange();
  for (let beat = 0; beat < 4; beat++) {
    later(4);
    a.heartbeat('gs', 's');
  }
  expect(see('s')).toEqual(['ready', undefined]);
  exchange();
  expect(see('s')).toEqual(['ready', 'ready']);
  // Where it is known that the other cannot be heard, it does not run out at all.
  for (let beat = 0; beat < 4; beat++) {
    later(4);
    a.heartbeat('gs', 's');
    b.creditMissedHeartbeats(true);
  }
  expect(see('s')).toEqual(['ready', 'ready']);
  // Nobody is told: it runs out with both.
  later(20);
  exchange();
  later(0);
  expect(see('s')).toEqual([undefined, undefined]);
});

test('an agent that was paused takes back nothing that the other one heard of', async () => {
  const { a, b, exchange, see, later } = await pair();
  await a.register({ ...registration('s', 2), ttl: 10_000 }, 'test');
  exchange();
  for (let beat = 0; beat < 4; beat++) {
    later(4, 'a');
    a.heartbeat('gs', 's');
  }
  // It wakes, finds it run out, and tells so, seconds after the last heartbeat.
  later(2);
  expect(see('s')).toEqual(['ready', undefined]);
  a.merge(new Map(b.intents()));
  expect(see('s')).toEqual(['ready', undefined]);
  b.merge(new Map(a.intents()));
  expect(see('s')).toEqual(['ready', 'ready']);
  // What came back is heard of through the other, too.
  later(9);
  b.creditMissedHeartbeats(true);
  later(9);
  expect(see('s')).toEqual([undefined, 'ready']);
});

test('taken back and registered anew between two looks, it is another instance for the other agent too', async () => {
  const { a, exchange, see } = await pair();
  await a.register(registration('s', 2), 'test');
  await a.setAdmin('gs', 's', 'maint', undefined, 'test');
  exchange();
  expect(see('s')).toEqual(['maint', 'maint']);
  await a.deregister('gs', 's', 'test');
  await a.register(registration('s', 2), 'test');
  exchange();
  expect(see('s')).toEqual(['ready', 'ready']);
});

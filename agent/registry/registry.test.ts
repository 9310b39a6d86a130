import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseConfig } from '../../shared/config/load.ts';
import { createLoop, type Loop } from '../core/loop.ts';
import type { Change } from '../core/state.ts';
import { initialRecords } from '../judge/initial.ts';
import type { InstanceRecord } from '../judge/instance-record.ts';
import { shiftRecord } from '../judge/shift.ts';
import { step } from '../judge/step.ts';
import { parseIntents } from './intent.ts';
import { openRegistry, type Registry, registryPath } from './registry.ts';

const configWith = (more: string) =>
  parseConfig(
    `version: 1\nsite: { id: main }\nservices: { gs: { routes: [/], instances: [{ id: gs-1, url: "http://127.0.0.1:1" }] } }\n${more}`,
    'test.yaml',
  );
let config = configWith('');
let loop: Loop<InstanceRecord>;
let reported: Change[];
let stateDir: string;
let registry: Registry;
const fail = (error: unknown): void => {
  throw error;
};
let onError = fail;
let clock = 1_700_000_000_000;
/** One turn of the event loop, after which a request is being written. */
const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

beforeEach(async () => {
  stateDir = mkdtempSync(join(tmpdir(), 'acgs-registry-'));
  config = configWith('');
  onError = fail;
  registry = await open();
});
afterEach(async () => {
  await registry.close();
  rmSync(stateDir, { recursive: true, force: true });
});

/** Opens the registry as the agent does when it starts. */
async function open(): Promise<Registry> {
  reported = [];
  loop = createLoop({
    step,
    shift: shiftRecord,
    initialRecords: initialRecords(config, null, 0),
    policies: config.services,
    onListenerError(_, error) {
      throw error;
    },
    hostLoad: () => ({ cpuPercent: 0, memoryPercent: 0 }),
    now: () => clock,
    clock: () => clock,
  });
  loop.addListener({ name: 'test', accept: ({ changes }) => void reported.push(...changes) });
  return openRegistry({
    config: () => config,
    stateDir,
    instances: loop.instances,
    apply: loop.apply,
    now: () => clock,
    onError: (error) => onError(error),
  });
}

const registration = (id: string, port: number, service = 'gs') => ({
  id,
  service,
  url: `http://127.0.0.1:${port}`,
  weight: 100,
  priority: 1,
  metadata: {},
});
const outcome = (answer: Awaited<ReturnType<Registry['register']>>) =>
  answer.ok ? answer.created : answer.why;

test('of conflicting registrations at the same time one succeeds; the same body is not a conflict', async () => {
  const bodies = [registration('a', 2), registration('a', 3), registration('b', 2), registration('a', 2)];
  const answers = await Promise.all(bodies.map((body) => registry.register(body, 'test')));
  expect(answers.map(outcome)).toEqual([true, 'conflict', 'conflict', false]);
  const saved = JSON.parse(readFileSync(registryPath(stateDir), 'utf8'));
  expect(saved['gs/a'].registration.url).toBe('http://127.0.0.1:2');
  expect(Object.keys(saved)).toEqual(['gs/a']);
});

test('stored intents must meet the rules of the API', () => {
  const of = (key: string, more: object) =>
    parseIntents({ [key]: { updatedAt: 1, by: 'test', ...more } }).size === 1;
  expect(of('gs/a', { registration: registration('a', 2) })).toBe(true);
  expect(of('gs/b', { registration: registration('a', 2) })).toBe(false);
  expect(of('gs/a;b', { registration: registration('a;b', 2) })).toBe(false);
  expect(of('gs/a', { registration: { ...registration('a', 2), url: 'http://a/ b' } })).toBe(false);
  expect(of('gs/a', { admin: { state: 'drain', deadline: 1e300 } })).toBe(false);
});

test('a property that every object inherits is not a service', async () => {
  for (const service of ['constructor', 'toString', '__proto__']) {
    expect(outcome(await registry.register(registration('a', 2, service), 'test'))).toBe('unknown');
  }
});

test('an instance outside the new allowNetworks is deregistered, and does not come back', async () => {
  await registry.register({ ...registration('far', 2), url: 'http://10.0.0.7:8004' }, 'test');
  await registry.register(registration('near', 3), 'test');
  void loop.refresh(false);
  expect([...loop.instances().keys()]).toEqual(['gs/gs-1', 'gs/far', 'gs/near']);

  config = configWith('registry: { allowNetworks: [127.0.0.0/8] }');
  registry.enforceAddressPolicy();
  void loop.refresh(false);
  registry.accept({ changes: reported });
  expect([...loop.instances().keys()]).toEqual(['gs/gs-1', 'gs/near']);
  const reason = '10.0.0.7 is outside registry.allowNetworks (127.0.0.0/8; never link-local)';
  expect(reported.at(-1)).toMatchObject({ instance: 'far', kind: 'deregistered', reason });

  config = configWith('');
  await registry.close();
  registry = await open();
  expect([...loop.instances().keys()]).toEqual(['gs/gs-1', 'gs/near']);
});

test('after allowNetworks was narrowed, a restart does not restore an instance outside it', async () => {
  await registry.register({ ...registration('far', 2), url: 'http://10.0.0.7:8004' }, 'test');
  await registry.close();
  config = configWith('registry: { allowNetworks: [127.0.0.0/8] }');
  registry = await open();
  expect([...loop.instances().keys()]).toEqual(['gs/gs-1']);
});

const DAY_MS = 86_400_000;

test('an instance that deregisters and registers again stays in maint, with its weight, also after a restart', async () => {
  await registry.register(registration('a', 2), 'app');
  await registry.setAdmin('gs', 'a', { state: 'maint' }, 'ada');
  await registry.setWeight('gs', 'a', 7, 'ada');
  await registry.deregister('gs', 'a', 'app', 'keep-settings');
  expect(loop.instances().has('gs/a')).toBe(false);
  clock += 29 * DAY_MS;
  await registry.close();
  registry = await open();
  await registry.register(registration('a', 3), 'app');
  void loop.refresh(false);
  expect(loop.instances().get('gs/a')).toMatchObject({ admin: 'maint', weight: 7 });
  expect(reported).toContainEqual(
    expect.objectContaining({ instance: 'a', kind: 'admin', reason: 'requested by ada' }),
  );

  await registry.setAdmin('gs', 'a', { state: 'ready' }, 'ada');
  await registry.deregister('gs', 'a', 'app', 'keep-settings');
  await registry.register(registration('a', 3), 'app');
  expect(loop.instances().get('gs/a')).toMatchObject({ admin: 'ready', weight: 7 });

  await registry.setAdmin('gs', 'a', { state: 'maint' }, 'ada');
  await registry.deregister('gs', 'a', 'ada', 'clear-settings');
  await registry.register(registration('a', 3), 'app');
  expect(loop.instances().get('gs/a')).toMatchObject({ admin: 'ready', weight: 100 });
});

test('a drain goes on while its instance is not registered: by deregistration, and for lack of heartbeats', async () => {
  const expiring = { ...registration('a', 2), ttl: 5_000 };
  const drain = { state: 'drain', deadline: clock + 60_000 } as const;
  await registry.register(expiring, 'app');
  await registry.setAdmin('gs', 'a', drain, 'ada');
  await registry.deregister('gs', 'a', 'app', 'keep-settings');
  await registry.register(expiring, 'app');
  expect(loop.instances().get('gs/a')).toMatchObject({ admin: 'drain', drainDeadline: drain.deadline });

  for (let passed = 0; passed < 5_000; passed += 250) {
    clock += 250;
    tick();
  }
  void loop.refresh(false);
  registry.accept({ changes: reported });
  expect(loop.instances().has('gs/a')).toBe(false);
  clock = drain.deadline + 1;
  await registry.register(expiring, 'app');
  tick();
  expect(loop.instances().get('gs/a')?.admin).toBe('maint');
});

test('a request that cannot be saved is refused and has no effect', async () => {
  rmSync(stateDir, { recursive: true });
  onError = () => {};
  const answer = await registry.setAdmin('gs', 'gs-1', { state: 'maint' }, 'test');
  expect(answer).toMatchObject({ ok: false, why: 'unsaved', detail: expect.stringContaining('ENOENT') });
  expect(registry.intents().size).toBe(0);
});

/** Ticks as the agent does. */
function tick(): void {
  registry.creditMissedHeartbeats(false);
  loop.tick();
}

test('a registration expires for lack of heartbeats, not because the agent was stopped', async () => {
  await registry.register({ ...registration('a', 2), ttl: 5_000 }, 'test');
  clock += 60_000;
  tick();
  expect(loop.instances().has('gs/a')).toBe(true);
  for (let passed = 0; passed < 5_000; passed += 250) {
    clock += 250;
    tick();
  }
  expect(loop.instances().has('gs/a')).toBe(false);
});

test('after the clock is set back by an hour, a registration without heartbeats still expires after its ttl', async () => {
  await registry.register({ ...registration('a', 2), ttl: 5_000 }, 'test');
  clock -= 3_600_000;
  for (let passed = 0; passed <= 5_000; passed += 250) {
    tick();
    clock += 250;
  }
  expect(loop.instances().has('gs/a')).toBe(false);
});

test('a request and a change during its write both take effect', async () => {
  await registry.setAdmin('gs', 'gs-1', { state: 'drain', deadline: clock + 100 }, 'test');
  const ready = registry.setAdmin('gs', 'gs-1', { state: 'ready' }, 'test');
  await nextTurn();
  clock += 200;
  loop.tick();
  void loop.refresh(false);
  registry.accept({ changes: reported });
  await ready;
  expect(loop.instances().get('gs/gs-1')?.admin).toBe('ready');
  expect(registry.intents().get('gs/gs-1')?.admin).toEqual({ state: 'ready', by: 'test' });

  const weightSet = registry.setWeight('gs', 'gs-1', 7, 'test');
  await nextTurn();
  const theirs = { by: 'other', updatedAt: clock + 1_000, admin: { state: 'maint' as const } };
  registry.merge(new Map([['gs/gs-1', theirs]]));
  await weightSet;
  expect(loop.instances().get('gs/gs-1')).toMatchObject({ admin: 'maint', weight: 7 });
  expect(registry.intents().get('gs/gs-1')).toMatchObject({ admin: { state: 'maint' }, weight: 7 });
  await registry.close();
  const saved = JSON.parse(readFileSync(registryPath(stateDir), 'utf8'));
  expect(saved['gs/gs-1']).toMatchObject({ admin: { state: 'maint' }, weight: 7 });
});

test('a file that conflicts with a registration is refused; at a start the file wins', async () => {
  await registry.register(registration('a', 2), 'test');
  const withFile = (gs: string, ac: string) =>
    parseConfig(
      `version: 1\nsite: { id: main }\nservices: { gs: { routes: [/], instances: [${gs}] }, ac: { routes: [/ac], instances: [${ac}] } }`,
    );
  const refusal = (gs: string, ac: string) => () => registry.checkFile(withFile(gs, ac));
  expect(refusal('', '{ id: a, url: "http://127.0.0.1:9" }')).toThrow(
    'services.ac.instances: the id a is in use by an instance of gs',
  );
  expect(refusal('{ id: b, url: "http://127.0.0.1:2" }', '')).toThrow(
    'services.gs.instances: http://127.0.0.1:2 is the address of a of gs, which is registered',
  );
  expect(
    refusal('{ id: a, url: "http://127.0.0.1:2" }', '{ id: b, url: "http://127.0.0.1:2" }'),
  ).not.toThrow();

  await registry.close();
  config = withFile('', '{ id: a, url: "http://127.0.0.1:9" }');
  registry = await open();
  expect([...loop.instances().keys()]).toEqual(['ac/a']);
});

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseConfig } from '../../shared/config/load.ts';
import { initialRecords } from '../judge/initial.ts';
import { createLoop, type Loop } from '../loop.ts';
import type { Change } from '../state.ts';
import { parseIntents } from './intent.ts';
import { openRegistry, type Registry, registryPath } from './registry.ts';

const configWith = (more: string) =>
  parseConfig(
    `version: 1\nsite: { id: main }\nservices: { gs: { routes: [/], instances: [{ id: gs-1, url: "http://127.0.0.1:1" }] } }\n${more}`,
    'test.yaml',
  );
let config = configWith('');
let loop: Loop;
let told: Change[];
let stateDir: string;
let registry: Registry;

beforeEach(async () => {
  stateDir = mkdtempSync(join(tmpdir(), 'acgs-registry-'));
  config = configWith('');
  registry = await open();
});
afterEach(async () => {
  await registry.close();
  rmSync(stateDir, { recursive: true, force: true });
});

/** As the agent does at its start. */
async function open(): Promise<Registry> {
  told = [];
  loop = createLoop({
    resumed: initialRecords(config, null, 0),
    policies: config.services,
    listeners: [{ name: 'test', accept: ({ changes }) => void told.push(...changes) }],
    onFault(_, error) {
      throw error;
    },
    host: () => ({ cpuPercent: 0, memoryPercent: 0 }),
    onJudged() {},
  });
  return openRegistry({
    config: () => config,
    stateDir,
    instances: loop.instances,
    apply: loop.apply,
    onError(error) {
      throw error;
    },
  });
}

const registration = (id: string, port: number, service = 'gs') => ({
  ...{ id, service, url: `http://127.0.0.1:${port}`, weight: 100, priority: 1, metadata: {} },
});
const outcome = (answer: Awaited<ReturnType<Registry['register']>>) =>
  answer.ok ? answer.created : answer.why;

test('of registrations at the same time one is taken, the same body is no conflict', async () => {
  const bodies = [registration('a', 2), registration('a', 3), registration('b', 2), registration('a', 2)];
  const answers = await Promise.all(bodies.map((body) => registry.register(body, 'test')));
  expect(answers.map(outcome)).toEqual([true, 'conflict', 'conflict', false]);
  const saved = JSON.parse(readFileSync(registryPath(stateDir), 'utf8'));
  expect(saved['gs/a'].registration.url).toBe('http://127.0.0.1:2');
  expect(Object.keys(saved)).toEqual(['gs/a']);
});

test('what a store holds is believed only as far as the API would take it', () => {
  const of = (key: string, more: object) =>
    parseIntents({ [key]: { updatedAt: 1, by: 'test', ...more } }).size === 1;
  expect(of('gs/a', { registration: registration('a', 2) })).toBe(true);
  expect(of('gs/b', { registration: registration('a', 2) })).toBe(false);
  expect(of('gs/a;b', { registration: registration('a;b', 2) })).toBe(false);
  expect(of('gs/a', { registration: { ...registration('a', 2), url: 'http://a/ b' } })).toBe(false);
  expect(of('gs/a', { admin: { state: 'drain', deadline: 1e300 } })).toBe(false);
});

test('no service is one that every object has by nature', async () => {
  for (const service of ['constructor', 'toString', '__proto__']) {
    expect(outcome(await registry.register(registration('a', 2, service), 'test'))).toBe('unknown');
  }
});

test('an address that allowNetworks no longer holds goes, with the reason, and does not come back', async () => {
  await registry.register({ ...registration('far', 2), url: 'http://10.0.0.7:8004' }, 'test');
  await registry.register(registration('near', 3), 'test');
  loop.refresh(false);
  expect([...loop.instances().keys()]).toEqual(['gs/gs-1', 'gs/far', 'gs/near']);

  config = configWith('registry: { allowNetworks: [127.0.0.0/8] }');
  registry.judgeAddresses();
  loop.refresh(false);
  registry.accept({ changes: told });
  expect([...loop.instances().keys()]).toEqual(['gs/gs-1', 'gs/near']);
  const reason = '10.0.0.7 is outside registry.allowNetworks (127.0.0.0/8; never link-local)';
  expect(told.at(-1)).toMatchObject({ instance: 'far', kind: 'deregistered', reason });

  config = configWith('');
  await registry.close();
  registry = await open();
  expect([...loop.instances().keys()]).toEqual(['gs/gs-1', 'gs/near']);
});

test('what was registered before the networks were narrowed is not taken up at the next start', async () => {
  await registry.register({ ...registration('far', 2), url: 'http://10.0.0.7:8004' }, 'test');
  await registry.close();
  config = configWith('registry: { allowNetworks: [127.0.0.0/8] }');
  registry = await open();
  expect([...loop.instances().keys()]).toEqual(['gs/gs-1']);
});

test('a wish that could not be saved is refused for good', async () => {
  rmSync(stateDir, { recursive: true });
  await expect(registry.setAdmin('gs', 'gs-1', 'maint', undefined, 'test')).rejects.toThrow();
  expect(registry.intents().size).toBe(0);
});

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseConfig } from '../../shared/config/load.ts';
import { initialRecords } from '../judge/initial.ts';
import { createLoop } from '../loop.ts';
import { parseIntents } from './intent.ts';
import { openRegistry, type Registry, registryPath } from './registry.ts';

const config = parseConfig(
  'version: 1\nsite: { id: main }\nservices: { gs: { routes: [/], instances: [{ id: gs-1, url: "http://127.0.0.1:1" }] } }',
  'test.yaml',
);
let stateDir: string;
let registry: Registry;

beforeEach(async () => {
  stateDir = mkdtempSync(join(tmpdir(), 'acgs-registry-'));
  const loop = createLoop({
    resumed: initialRecords(config, null, 0),
    policies: config.services,
    listeners: [],
    host: () => ({ cpuPercent: 0, memoryPercent: 0 }),
    onJudged() {},
  });
  registry = await openRegistry({
    config: () => config,
    stateDir,
    instances: loop.instances,
    apply: loop.apply,
    onError(error) {
      throw error;
    },
  });
});
afterEach(async () => {
  await registry.close();
  rmSync(stateDir, { recursive: true, force: true });
});

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

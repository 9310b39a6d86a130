import { mkdir, readFile, rename, rmdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { beforeEach, expect, test } from 'vitest';
import { haproxyPaths } from '../../agent/haproxy/render/input.ts';
import { requestReload } from '../../agent/haproxy/socket/master.ts';
import {
  parseServersState,
  parseStat,
  type ServerStat,
  type ServerState,
} from '../../agent/haproxy/socket/parse.ts';
import type { Origin } from '../harness/origin.ts';
import { until } from '../harness/until.ts';
import {
  CLOSE_MS,
  type HaproxyHarness,
  type ReconciledHaproxy,
  releaseAfterTests,
  startBeforeTests,
  startHaproxyHarness,
  startOrigins,
  startSink,
} from './haproxy-harness.ts';

let harness: HaproxyHarness;
let reconciled: ReconciledHaproxy;
let origins: Origin[] = [];

startBeforeTests(async () => {
  origins = await startOrigins('gs-1', 'gs-2', 'gs-3');
  harness = await startHaproxyHarness({
    services: `gs:
  routes: [/]
  health: { interval: 1s }
  instances:
    - { id: gs-1, url: "${origins[0]?.url}" }
    - { id: gs-2, url: "${origins[1]?.url}" }`,
    haproxy: 'rateLimit: off',
  });
  reconciled = await startSink(harness);
});

type Server = ServerStat & ServerState;

async function server(id: string): Promise<Server | null> {
  const stat = parseStat(await harness.execute('show stat -1 4 -1')).find(({ instance }) => instance === id);
  const state = parseServersState(await harness.execute('show servers state')).find(
    ({ instance }) => instance === id,
  );
  return stat && state ? { ...stat, ...state } : null;
}

const becomes = (id: string, test: (server: Server | null) => boolean | undefined) =>
  until(async () => test(await server(id)));

/** Each test starts with two instances in service, even if the test before it failed. */
beforeEach(async () => {
  const healthy = { state: 'up', health: 'up', breaker: 'closed', admin: 'ready', weight: 100 } as const;
  reconciled.change({ 'gs/gs-1': healthy, 'gs/gs-2': healthy, 'gs/gs-3': null });
  for (const id of ['gs-1', 'gs-2']) {
    await harness.execute(`set server gs/${id} state ready`);
    const isHealthy = (it: Server | null) =>
      it?.agentUp && it.admin === 'ready' && it.weight === 100 && it.status.startsWith('UP');
    if (!(await becomes(id, isHealthy))) throw new Error(`${id} is not in service`);
  }
  if (!(await becomes('gs-3', (it) => it === null))) throw new Error('gs-3 is still there');
});

async function usedBy(requests: number): Promise<Set<string>> {
  const names = new Set<string>();
  for (let count = 0; count < requests; count++) {
    const answer = await fetch(`${harness.gateway}/x`);
    expect(answer.status).toBe(200);
    names.add(((await answer.json()) as { name: string }).name);
  }
  return names;
}

test('a verdict takes a server out of service and returns it', async () => {
  expect(await usedBy(24)).toEqual(new Set(['gs-1', 'gs-2']));
  reconciled.change({
    'gs/gs-1': { state: 'down', health: 'down', reason: '3 of 3 probes failed: connect refused' },
  });
  expect(await becomes('gs-1', (it) => it?.status.startsWith('DOWN'))).toBe(true);
  expect(await usedBy(24)).toEqual(new Set(['gs-2']));
  reconciled.change({ 'gs/gs-1': { state: 'up', health: 'up' } });
  expect(await becomes('gs-1', (it) => it?.status.startsWith('UP'))).toBe(true);
  expect(await usedBy(24)).toEqual(new Set(['gs-1', 'gs-2']));
});

test('a manual maint on the socket stays; a drain of the agent is undone', async () => {
  await harness.execute('set server gs/gs-1 state maint');
  reconciled.change({ 'gs/gs-2': { weight: 40 } });
  expect(await becomes('gs-2', (it) => it?.weight === 40)).toBe(true);
  reconciled.change({ 'gs/gs-2': { weight: 100 } });
  expect(await becomes('gs-2', (it) => it?.weight === 100)).toBe(true);
  expect((await server('gs-1'))?.admin).toBe('maint');
  await harness.execute('set server gs/gs-1 state ready');

  reconciled.change({ 'gs/gs-1': { admin: 'drain', state: 'draining' } });
  expect(await becomes('gs-1', (it) => it?.admin === 'drain')).toBe(true);
  reconciled.change({ 'gs/gs-1': { admin: 'ready', state: 'up' } });
  expect(await becomes('gs-1', (it) => it?.admin === 'ready')).toBe(true);
});

test('HAProxy counters become traffic evidence', async () => {
  reconciled.traffic.length = 0;
  await usedBy(40);
  const sum = () => reconciled.traffic.reduce((total, delta) => total + delta.success, 0);
  expect(await until(() => sum() === 40)).toBe(true);
  expect(reconciled.traffic.every((delta) => delta.failure === 0)).toBe(true);
  const timed = () => reconciled.traffic.reduce((total, delta) => total + (delta.latency?.count ?? 0), 0);
  expect(await until(() => timed() === 40)).toBe(true);
});

test('a registered instance is added, enters service when healthy, survives a reload and is removed', async () => {
  const url = origins[2]?.url ?? '';
  reconciled.change({ 'gs/gs-3': { id: 'gs-3', service: 'gs', url } });
  expect(await becomes('gs-3', (it) => it?.agentUp === false && it.admin === 'ready')).toBe(true);
  expect(await usedBy(24)).toEqual(new Set(['gs-1', 'gs-2']));
  reconciled.change({ 'gs/gs-3': { state: 'up', health: 'up' } });
  expect(await becomes('gs-3', (it) => it?.status.startsWith('UP'))).toBe(true);
  expect(await usedBy(40)).toEqual(new Set(['gs-1', 'gs-2', 'gs-3']));

  const file = await readFile(harness.config.haproxy.file, 'utf8');
  expect(file).toContain(`server gs-3 ${url.slice('http://'.length)} `);
  const worker = await harness.execute('show info').then((info) => /^Pid: (\d+)/m.exec(info)?.[1]);
  reconciled.sink.reconfigure({ ...harness.config, haproxy: { ...harness.config.haproxy, maxconn: 2000 } });
  const isNew = async () => {
    const info = await harness.execute('show info');
    return /^Maxconn: 2000$/m.test(info) && /^Pid: (\d+)/m.exec(info)?.[1] !== worker;
  };
  expect(await until(isNew)).toBe(true);
  expect(await usedBy(40)).toEqual(new Set(['gs-1', 'gs-2', 'gs-3']));

  reconciled.change({ 'gs/gs-3': null });
  expect(await until(async () => (await server('gs-3')) === null)).toBe(true);
});

test('an instance that is deregistered while busy and registered again serves; a manual maint on it stays', async () => {
  const url = origins[2]?.url ?? '';
  const slow = createServer(() => undefined);
  await new Promise<void>((resolve) => slow.listen(0, '127.0.0.1', resolve));
  releaseAfterTests(async () => {
    slow.closeAllConnections();
    slow.close();
  });
  const slowUrl = `http://127.0.0.1:${(slow.address() as AddressInfo).port}`;
  const up = { id: 'gs-3', service: 'gs', state: 'up', health: 'up' } as const;
  reconciled.change({ 'gs/gs-3': { ...up, url: slowUrl } });
  expect(await becomes('gs-3', (it) => it?.agentUp && it.admin === 'ready')).toBe(true);
  const held = fetch(`${harness.gateway}/x`, {
    method: 'POST',
    headers: harness.edgeHeaders({ target: 'gs-3' }),
  }).catch(() => undefined);
  expect(await becomes('gs-3', (it) => it?.inflight === 1)).toBe(true);
  reconciled.change({ 'gs/gs-3': null });
  expect(await becomes('gs-3', (it) => it?.admin === 'maint')).toBe(true);
  reconciled.change({ 'gs/gs-3': { ...up, url } });
  expect(await becomes('gs-3', (it) => it?.admin === 'ready' && url.endsWith(`:${it.port}`))).toBe(true);
  slow.closeAllConnections();
  await held;

  reconciled.change({ 'gs/gs-3': null });
  expect(await until(async () => (await server('gs-3')) === null)).toBe(true);
  reconciled.change({ 'gs/gs-3': { ...up, url } });
  expect(await becomes('gs-3', (it) => it?.agentUp && it.admin === 'ready')).toBe(true);
  await harness.execute('set server gs/gs-3 state maint');
  reconciled.change({ 'gs/gs-2': { weight: 90 } });
  expect(await becomes('gs-2', (it) => it?.weight === 90)).toBe(true);
  expect((await server('gs-3'))?.admin).toBe('maint');
  reconciled.change({ 'gs/gs-2': { weight: 100 }, 'gs/gs-3': null });
  expect(await until(async () => (await server('gs-3')) === null)).toBe(true);
});

test('an instance registered again with another maxconn gets it by a reload', async () => {
  const url = origins[2]?.url ?? '';
  const source = { id: 'gs-3', service: 'gs', state: 'up', health: 'up', url } as const;
  reconciled.change({ 'gs/gs-3': source });
  expect(await becomes('gs-3', (it) => it?.agentUp && it.admin === 'ready')).toBe(true);
  /** The column `slim`. */
  const limit = async () =>
    /^gs,gs-3,(?:[^,]*,){4}(\d+),/m.exec(await harness.execute('show stat gs 4 -1'))?.[1];
  reconciled.change({ 'gs/gs-3': { ...source, maxconn: 7 } });
  expect(await until(async () => (await limit()) === '7')).toBe(true);
  reconciled.change({ 'gs/gs-3': null });
  expect(await until(async () => (await server('gs-3')) === null)).toBe(true);
});

test('consecutive reloads reach the master, which re-executes itself each time', async () => {
  const worker = async () => /^Pid: (\d+)/m.exec(await harness.execute('show info'))?.[1];
  for (let reload = 0; reload < 4; reload++) {
    const before = await worker();
    await requestReload(harness.config.haproxy.masterSocket, { timeoutMs: 60_000, startingMs: 60_000 });
    expect(await until(async () => (await worker()) !== before, { everyMs: 5 })).toBe(true);
  }
});

test('verdicts arrive while files cannot be written', async () => {
  const { file } = harness.config.haproxy;
  // A folder in place of each file makes every read and rename of it fail.
  const blocked = [file, haproxyPaths(harness.config).state];
  const block = async (path: string) => {
    await rename(path, `${path}.kept`);
    await mkdir(path);
    return true;
  };
  for (const path of blocked) expect(await until(() => block(path))).toBe(true);
  try {
    reconciled.change({ 'gs/gs-1': { state: 'down', health: 'down', weight: 70 } });
    expect(await becomes('gs-1', (it) => it?.agentUp === false && it.weight === 70)).toBe(true);
    expect(await until(() => reconciled.sink.status().lastError?.includes(file))).toBe(true);
  } finally {
    for (const path of blocked) {
      await rmdir(path);
      await rename(`${path}.kept`, path);
    }
  }
  reconciled.change({ 'gs/gs-1': { state: 'up', health: 'up', weight: 100 } });
  expect(await until(() => reconciled.sink.status().state === 'ok')).toBe(true);
});

test('verdict and maint are restored after a HAProxy restart; a closed agent releases its verdicts', async () => {
  await harness.execute('set server gs/gs-2 state maint');
  reconciled.change({
    'gs/gs-1': { state: 'down', breaker: 'open' },
    'gs/gs-2': { health: 'down', state: 'down' },
  });
  const saved = async () =>
    /gs-2 \S+ \d 1 /.test(await readFile(`${harness.folder}/acgs-lb/servers.state`, 'utf8'));
  expect(await until(saved)).toBe(true);
  await harness.restart();
  expect((await server('gs-2'))?.admin).toBe('maint');
  // Both would be out, but gs-1 passes its probes and is the last instance: it stays in.
  expect(await becomes('gs-2', (it) => it?.agentUp === false)).toBe(true);
  expect((await server('gs-1'))?.agentUp).toBe(true);
  await harness.execute('set server gs/gs-2 state ready');
  await reconciled.sink.close(CLOSE_MS);
  expect(await becomes('gs-2', (it) => it?.agentUp && it.status.startsWith('UP'))).toBe(true);
});

import { mkdir, readFile, rmdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { beforeAll, beforeEach, expect, test } from 'vitest';
import { haproxyPaths } from '../../agent/haproxy/render/input.ts';
import { requestReload } from '../../agent/haproxy/socket/master.ts';
import {
  parseServersState,
  parseStat,
  type ServerStat,
  type ServerState,
} from '../../agent/haproxy/socket/parse.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { until } from '../harness/until.ts';
import {
  CLOSE_MS,
  type HaproxyHarness,
  type ReconciledHaproxy,
  releaseAfterTests,
  startHaproxyHarness,
  startSink,
} from './haproxy-harness.ts';

let stand: HaproxyHarness;
let steered: ReconciledHaproxy;
/** The agent's part is closed. */
let ended = false;
const origins: Origin[] = [];

beforeAll(async () => {
  for (const name of ['gs-1', 'gs-2', 'gs-3']) {
    const origin = await startOrigin(name);
    releaseAfterTests(origin.stop);
    origins.push(origin);
  }
  stand = await startHaproxyHarness({
    services: `gs:
  routes: [/]
  health: { interval: 1s }
  instances:
    - { id: gs-1, url: "${origins[0]?.url}" }
    - { id: gs-2, url: "${origins[1]?.url}" }`,
    haproxy: 'rateLimit: off',
  });
  steered = await startSink(stand);
});

type Server = ServerStat & ServerState;

async function server(id: string): Promise<Server | null> {
  const stat = parseStat(await stand.ask('show stat -1 4 -1')).find(({ instance }) => instance === id);
  const state = parseServersState(await stand.ask('show servers state')).find(
    ({ instance }) => instance === id,
  );
  return stat && state ? { ...stat, ...state } : null;
}

const becomes = (id: string, test: (server: Server | null) => boolean | undefined) =>
  until(async () => test(await server(id)));

/** Each test begins with two instances in service, also where the one before it, or its own first try, failed. */
beforeEach(async () => {
  if (ended) steered = await startSink(stand);
  ended = false;
  const well = { state: 'up', health: 'up', breaker: 'closed', admin: 'ready', weight: 100 } as const;
  steered.change({ 'gs/gs-1': well, 'gs/gs-2': well, 'gs/gs-3': null });
  for (const id of ['gs-1', 'gs-2']) {
    await stand.ask(`set server gs/${id} state ready`);
    const isWell = (it: Server | null) =>
      it?.agentUp && it.admin === 'ready' && it.weight === 100 && it.status.startsWith('UP');
    if (!(await becomes(id, isWell))) throw new Error(`${id} is not in service`);
  }
  if (!(await becomes('gs-3', (it) => it === null))) throw new Error('gs-3 is still there');
});

async function usedBy(requests: number): Promise<Set<string>> {
  const names = new Set<string>();
  for (let count = 0; count < requests; count++) {
    const answer = await fetch(`${stand.gateway}/x`);
    expect(answer.status).toBe(200);
    names.add(((await answer.json()) as { name: string }).name);
  }
  return names;
}

test('a verdict takes a server out and lets it in again', async () => {
  expect(await usedBy(4)).toEqual(new Set(['gs-1', 'gs-2']));
  steered.change({
    'gs/gs-1': { state: 'down', health: 'down', reason: '3 of 3 probes failed: connect refused' },
  });
  expect(await becomes('gs-1', (it) => it?.status.startsWith('DOWN'))).toBe(true);
  expect(await usedBy(4)).toEqual(new Set(['gs-2']));
  steered.change({ 'gs/gs-1': { state: 'up', health: 'up' } });
  expect(await becomes('gs-1', (it) => it?.status.startsWith('UP'))).toBe(true);
  expect(await usedBy(4)).toEqual(new Set(['gs-1', 'gs-2']));
});

test("a person's maint on the socket is left alone; an order of ours is undone by us", async () => {
  await stand.ask('set server gs/gs-1 state maint');
  steered.change({ 'gs/gs-2': { weight: 40 } });
  expect(await becomes('gs-2', (it) => it?.weight === 40)).toBe(true);
  steered.change({ 'gs/gs-2': { weight: 100 } });
  expect(await becomes('gs-2', (it) => it?.weight === 100)).toBe(true);
  expect((await server('gs-1'))?.admin).toBe('maint');
  await stand.ask('set server gs/gs-1 state ready');

  steered.change({ 'gs/gs-1': { admin: 'drain', state: 'draining' } });
  expect(await becomes('gs-1', (it) => it?.admin === 'drain')).toBe(true);
  steered.change({ 'gs/gs-1': { admin: 'ready', state: 'up' } });
  expect(await becomes('gs-1', (it) => it?.admin === 'ready')).toBe(true);
});

test('what HAProxy counts becomes evidence', async () => {
  steered.traffic.length = 0;
  await usedBy(6);
  const sum = () => steered.traffic.reduce((total, delta) => total + delta.success, 0);
  expect(await until(() => sum() === 6)).toBe(true);
  expect(steered.traffic.every((delta) => delta.failure === 0)).toBe(true);
  const timed = () => steered.traffic.reduce((total, delta) => total + (delta.latency?.count ?? 0), 0);
  expect(await until(() => timed() === 6)).toBe(true);
});

test('a registered instance is added, proves itself, survives a reload and is removed', async () => {
  const url = origins[2]?.url ?? '';
  steered.change({ 'gs/gs-3': { id: 'gs-3', service: 'gs', url } });
  expect(await becomes('gs-3', (it) => it?.agentUp === false && it.admin === 'ready')).toBe(true);
  expect(await usedBy(4)).toEqual(new Set(['gs-1', 'gs-2']));
  steered.change({ 'gs/gs-3': { state: 'up', health: 'up' } });
  expect(await becomes('gs-3', (it) => it?.status.startsWith('UP'))).toBe(true);
  expect(await usedBy(6)).toEqual(new Set(['gs-1', 'gs-2', 'gs-3']));

  const file = await readFile(stand.config.haproxy.file, 'utf8');
  expect(file).toContain(`server gs-3 ${url.slice('http://'.length)} `);
  const worker = await stand.ask('show info').then((info) => /^Pid: (\d+)/m.exec(info)?.[1]);
  steered.sink.reconfigure({ ...stand.config, haproxy: { ...stand.config.haproxy, maxconn: 2000 } });
  const isNew = async () => {
    const info = await stand.ask('show info');
    return /^Maxconn: 2000$/m.test(info) && /^Pid: (\d+)/m.exec(info)?.[1] !== worker;
  };
  expect(await until(isNew)).toBe(true);
  expect(await usedBy(6)).toEqual(new Set(['gs-1', 'gs-2', 'gs-3']));

  steered.change({ 'gs/gs-3': null });
  expect(await until(async () => (await server('gs-3')) === null)).toBe(true);
});

test('taken back while it answers and registered again, it serves; a maint of a person stays all the same', async () => {
  const url = origins[2]?.url ?? '';
  const slow = createServer(() => undefined);
  await new Promise<void>((resolve) => slow.listen(0, '127.0.0.1', resolve));
  releaseAfterTests(async () => {
    slow.closeAllConnections();
    slow.close();
  });
  const slowUrl = `http://127.0.0.1:${(slow.address() as AddressInfo).port}`;
  const up = { id: 'gs-3', service: 'gs', state: 'up', health: 'up' } as const;
  steered.change({ 'gs/gs-3': { ...up, url: slowUrl } });
  expect(await becomes('gs-3', (it) => it?.agentUp && it.admin === 'ready')).toBe(true);
  const held = fetch(`${stand.gateway}/x`, {
    method: 'POST',
    headers: { 'x-acgs-edge': stand.token(), 'x-acgs-instance': 'gs-3', 'x-acgs-client': '192.0.2.1' },
  }).catch(() => undefined);
  expect(await becomes('gs-3', (it) => it?.inflight === 1)).toBe(true);
  steered.change({ 'gs/gs-3': null });
  expect(await becomes('gs-3', (it) => it?.admin === 'maint')).toBe(true);
  steered.change({ 'gs/gs-3': { ...up, url } });
  expect(await becomes('gs-3', (it) => it?.admin === 'ready' && url.endsWith(`:${it.port}`))).toBe(true);
  slow.closeAllConnections();
  await held;

  steered.change({ 'gs/gs-3': null });
  expect(await until(async () => (await server('gs-3')) === null)).toBe(true);
  steered.change({ 'gs/gs-3': { ...up, url } });
  expect(await becomes('gs-3', (it) => it?.agentUp && it.admin === 'ready')).toBe(true);
  await stand.ask('set server gs/gs-3 state maint');
  steered.change({ 'gs/gs-2': { weight: 90 } });
  expect(await becomes('gs-2', (it) => it?.weight === 90)).toBe(true);
  expect((await server('gs-3'))?.admin).toBe('maint');
  steered.change({ 'gs/gs-2': { weight: 100 }, 'gs/gs-3': null });
  expect(await until(async () => (await server('gs-3')) === null)).toBe(true);
});

test('registered again as another kind of server it is so in HAProxy too, by a reload', async () => {
  const url = origins[2]?.url ?? '';
  const source = { id: 'gs-3', service: 'gs', state: 'up', health: 'up', url } as const;
  steered.change({ 'gs/gs-3': source });
  expect(await becomes('gs-3', (it) => it?.agentUp && it.admin === 'ready')).toBe(true);
  /** The column `slim`. */
  const limit = async () => /^gs,gs-3,(?:[^,]*,){4}(\d+),/m.exec(await stand.ask('show stat gs 4 -1'))?.[1];
  steered.change({ 'gs/gs-3': { ...source, maxconn: 7 } });
  expect(await until(async () => (await limit()) === '7')).toBe(true);
  steered.change({ 'gs/gs-3': null });
  expect(await until(async () => (await server('gs-3')) === null)).toBe(true);
});

test('one reload right after another finds the master, which starts itself anew each time', async () => {
  const worker = async () => /^Pid: (\d+)/m.exec(await stand.ask('show info'))?.[1];
  for (let reload = 0; reload < 4; reload++) {
    const before = await worker();
    await requestReload(stand.config.haproxy.masterSocket, { timeoutMs: 60_000, startingMs: 60_000 });
    expect(await until(async () => (await worker()) !== before, { everyMs: 5 })).toBe(true);
  }
});

test('files that cannot be written stop no verdict', async () => {
  const { file } = stand.config.haproxy;
  // Folders that stand where the new files would be written, before they take the old ones' place.
  const inTheWay = [file, haproxyPaths(stand.config).state].map((path) => `${path}.${process.pid}.new`);
  for (const path of inTheWay) expect(await until(() => mkdir(path).then(() => true))).toBe(true);
  try {
    steered.change({ 'gs/gs-1': { state: 'down', health: 'down', weight: 70 } });
    expect(await becomes('gs-1', (it) => it?.agentUp === false && it.weight === 70)).toBe(true);
    expect(await until(() => steered.sink.status().lastError?.includes(`${file}.`))).toBe(true);
  } finally {
    for (const path of inTheWay) await rmdir(path);
  }
  steered.change({ 'gs/gs-1': { state: 'up', health: 'up', weight: 100 } });
  expect(await until(() => steered.sink.status().state === 'ok')).toBe(true);
});

test('verdict and maint are right again after a restart of HAProxy, and a dead agent holds nothing', async () => {
  await stand.ask('set server gs/gs-2 state maint');
  steered.change({
    'gs/gs-1': { state: 'down', breaker: 'open' },
    'gs/gs-2': { health: 'down', state: 'down' },
  });
  const saved = async () =>
    /gs-2 \S+ \d 1 /.test(await readFile(`${stand.folder}/acgs-lb/servers.state`, 'utf8'));
  expect(await until(saved)).toBe(true);
  await stand.restart();
  expect((await server('gs-2'))?.admin).toBe('maint');
  // Both are out by verdict, but gs-1 answers probes and is the last one that could: it stays in.
  expect(await becomes('gs-2', (it) => it?.agentUp === false)).toBe(true);
  expect((await server('gs-1'))?.agentUp).toBe(true);
  await stand.ask('set server gs/gs-2 state ready');
  ended = true;
  await steered.sink.close(CLOSE_MS);
  expect(await becomes('gs-2', (it) => it?.agentUp && it.status.startsWith('UP'))).toBe(true);
});

import pino from 'pino';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { checkRedis } from '../../agent/cli/doctor/stores.ts';
import type { LiveState } from '../../agent/live/live-state.ts';
import { createRedisLiveState } from '../../agent/live/redis.ts';
import { createLiveSink } from '../../agent/live/sink.ts';
import { freePort } from '../../dev/ports.ts';
import { type LocalRedis, startRedis } from '../../dev/servers/redis.ts';
import { tcpRequest } from '../../dev/servers/tcp-request.ts';
import { parseConfig } from '../../shared/config/load.ts';
import { doctorFacts } from '../harness/doctor-facts.ts';
import { eventually } from '../harness/eventually.ts';

/** Three masters, and one replica of the first. */
let nodes: LocalRedis[] = [];
let one: LiveState;
let two: LiveState;

const PASSWORD = 'cluster-secret';
const command = (node: LocalRedis, text: string) =>
  tcpRequest({ host: '127.0.0.1', port: node.port }, `AUTH ${PASSWORD}\r\n${text}\r\nQUIT\r\n`, {
    timeoutMs: 60_000,
  });
const address = (node: LocalRedis) => `127.0.0.1:${node.port}`;

async function startNode(): Promise<LocalRedis> {
  const bus = ['--cluster-port', String(await freePort())];
  // A long timeout: on a busy machine a node may be slow, but must not fail over before the test triggers it.
  const longTimeout = ['--cluster-node-timeout', '60000', '--cluster-replica-validity-factor', '0'];
  const settings = ['--cluster-enabled', 'yes', ...bus, ...longTimeout, '--masterauth', PASSWORD];
  return startRedis({ password: PASSWORD, settings: [...settings, '--repl-diskless-sync-delay', '0'] });
}

const busOf = async (node: LocalRedis): Promise<string> =>
  /@(\d+)/.exec(await command(node, 'CLUSTER NODES'))?.[1] ?? '';

/** A test broke the cluster: a retry starts with a new one. */
let spent = true;
beforeEach(async () => {
  if (!spent) return;
  await end();
  nodes = await Promise.all(Array.from({ length: 4 }, startNode));
  const [first, second, third, replica] = nodes as [LocalRedis, LocalRedis, LocalRedis, LocalRedis];
  await command(first, 'CLUSTER ADDSLOTSRANGE 0 5460');
  await command(second, 'CLUSTER ADDSLOTSRANGE 5461 10922');
  await command(third, 'CLUSTER ADDSLOTSRANGE 10923 16383');
  for (const [index, node] of nodes.entries()) await command(node, `CLUSTER SET-CONFIG-EPOCH ${index + 1}`);
  for (const node of [second, third, replica]) {
    await command(node, `CLUSTER MEET 127.0.0.1 ${first.port} ${await busOf(first)}`);
  }
  const id = /([0-9a-f]{40})/.exec(await command(first, 'CLUSTER MYID'))?.[1];
  await eventually(async () =>
    expect(await command(replica, `CLUSTER REPLICATE ${id}`)).toMatch(/OK\r\n\+OK/),
  );
  for (const node of nodes) {
    await eventually(async () => {
      const info = await command(node, 'CLUSTER INFO');
      expect(info).toContain('cluster_state:ok');
      expect(info).toContain('cluster_known_nodes:4');
    });
  }
  await eventually(async () =>
    expect(await command(replica, 'INFO replication')).toContain('link_status:up'),
  );
  // One reachable host is enough; an unreachable one does no harm.
  const url = `redis+cluster://:${PASSWORD}@127.0.0.1:1,${address(third)}`;
  const open = () => createRedisLiveState({ url, site: 'main', log: pino({ level: 'silent' }) });
  [one, two] = [open(), open()];
  await eventually(() => expect([one.status().state, two.status().state]).toEqual(['ok', 'ok']));
  spent = false;
});

afterAll(end);
async function end(): Promise<void> {
  await one?.close();
  await two?.close();
  await Promise.all(nodes.map((node) => node.stop()));
}

const config = parseConfig(`
version: 1
site: { id: main }
services: { gs: { routes: [/], instances: [{ id: gs-1, url: 'http://127.0.0.1:1' }] } }
`);
const keys = Array.from({ length: 30 }, (_, index) => `lb:health:main:gs:gs-${index}`);
const LEASE_MS = 600_000;
const entries = keys.map((key) => ({ key, value: key, ttlSeconds: 600 }));
const read = () => Promise.all(keys.map((key) => two.get(key)));

test('keys on all nodes, intents, events and the lease work as with one Redis', async () => {
  await eventually(() => one.put(entries));
  await eventually(async () => expect(await read()).toEqual(keys));
  await eventually(() => one.remove(keys));
  await eventually(async () => expect(await read()).toEqual(keys.map(() => null)));
  const heard: unknown[] = [];
  two.subscribe((event) => heard.push(event));
  await eventually(async () => {
    await one.writeIntent('gs/gs-1', '{}');
    expect(heard).toContainEqual({ kind: 'intent', field: 'gs/gs-1' });
  });
  await eventually(async () => expect(await two.readIntents()).toEqual({ 'gs/gs-1': '{}' }));
  const lease = (live: LiveState, owner: string) => eventually(() => live.acquireLease(owner, LEASE_MS));
  expect(await lease(one, 'a')).toEqual({ held: true, holder: 'a' });
  expect(await lease(two, 'b')).toEqual({ held: false, holder: 'a' });
  await eventually(() => one.releaseLease('a'));
});

test('doctor accepts a cluster, and gives a hint for a redis:// URL of a cluster node', async () => {
  const first = address(nodes[0] as LocalRedis);
  const doctorSays = (scheme: string, finding: object) =>
    eventually(async () => {
      const env = { REDIS_URL: `${scheme}://:${PASSWORD}@${first}` };
      expect((await checkRedis(doctorFacts(env)))[0]).toMatchObject(finding);
    });
  await doctorSays('redis+cluster', { name: 'Redis', state: 'ok' });
  await doctorSays('redis', { state: 'fail', mend: expect.stringContaining('redis+cluster://') });
});

test('after a master hangs or dies, its replica takes over and the live state is restored', async () => {
  spent = true;
  const sink = createLiveSink({ live: one, config: () => config, log: pino({ level: 'silent' }) });
  const wholeAgain = async () => {
    sink.accept({ at: 1_000, instances: new Map(), changes: [] });
    await eventually(async () => {
      await one.put(entries);
      expect(await read()).toEqual(keys);
    });
    await eventually(() => expect(sink.status()).toMatchObject({ state: 'ok', pending: 0 }));
    const held = { held: true, holder: 'a' };
    await eventually(async () => expect(await one.acquireLease('a', LEASE_MS)).toEqual(held));
  };
  const [first, , , replica] = nodes as [LocalRedis, LocalRedis, LocalRedis, LocalRedis];
  for (const node of nodes) await command(node, 'CONFIG SET cluster-node-timeout 1000');
  // Accepts commands and does not answer.
  first.child.signal('SIGSTOP');
  await wholeAgain();
  first.child.signal('SIGCONT');
  await eventually(async () => {
    const info = await command(first, 'INFO replication');
    expect(info).toContain('role:slave');
    expect(info).toContain('link_status:up');
  });
  replica.child.signal('SIGKILL');
  await wholeAgain();
  await sink.close(60_000);
});

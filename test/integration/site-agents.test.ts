import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { parseStat } from '../../agent/haproxy/socket/parse.ts';
import { freePorts } from '../../dev/ports.ts';
import { haproxyCommand, type LocalHaproxy, startHaproxy } from '../../dev/servers/haproxy.ts';
import { type LocalRedis, startRedis } from '../../dev/servers/redis.ts';
import type { SnapshotOrder } from '../../shared/snapshot/snapshot.ts';
import { EDGE_TOKEN, startEdge, type TestEdge } from '../harness/edge.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { until } from '../harness/until.ts';

/** Three agents of one site, each with its HAProxy; a real Redis holds the lease, and a real edge runs the Hub. */

const TOKEN = 'site-agents-token';
const INTENT_KEY = 'a-random-key-of-at-least-32-characters';
let redis: LocalRedis;
let edge: TestEdge;
let origins: Origin[];
const agents: TestAgent[] = [];
const folders: string[] = [];
const haproxies: LocalHaproxy[] = [];

beforeAll(async () => {
  [redis, edge] = await Promise.all([startRedis(), startEdge({ kvDown: false })]);
  origins = [await startOrigin('gs-1'), await startOrigin('gs-2')];
  for (const name of ['a', 'b', 'c']) folders.push(mkdtempSync(join(tmpdir(), `acgs-agents-${name}-`)));
  await Promise.all(folders.map(startAgent));
  haproxies.push(...(await Promise.all(folders.map(haproxyOf))));
});

/** Every attempt of a test begins with three running agents. */
beforeEach(async () => {
  for (const [index, agent] of agents.entries()) {
    agent.child.kill('SIGCONT');
    if (agent.isGone()) agents[index] = await answering(run(folders[index] ?? '', agent.url));
  }
});

afterAll(async () => {
  await Promise.all(agents.map((agent) => agent.end()));
  await Promise.all(haproxies.map((haproxy) => haproxy.stop()));
  await Promise.all([redis?.stop(), edge?.stop(), ...(origins ?? []).map((origin) => origin.stop())]);
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

const PATIENCE = { withinMs: 100_000, timeout: 100_000 };

interface TestAgent {
  url: string;
  child: ChildProcess;
  isGone(): boolean;
  log(): string;
  role(): Promise<string>;
  admin(instance: string, state: string): Promise<void>;
  end(): Promise<void>;
}

const sockets = (folder: string) => ({
  socket: join(folder, 'a.sock'),
  masterSocket: join(folder, 'm.sock'),
});

async function startAgent(folder: string): Promise<void> {
  const [bind = 0, check = 0, gateway = 0, stats = 0] = await freePorts(4);
  const neighbours = folders.filter((one) => one !== folder);
  writeFileSync(
    join(folder, 'acgs-lb.yaml'),
    JSON.stringify({
      version: 1,
      site: { id: 'main', agents: 3 },
      agent: { bind: `127.0.0.1:${bind}` },
      edge: { url: edge.url },
      haproxy: {
        ...sockets(folder),
        file: join(folder, 'haproxy.cfg'),
        agentCheck: `127.0.0.1:${check}`,
        bind: [`127.0.0.1:${gateway}`],
        stats: `127.0.0.1:${stats}`,
        threads: 1,
        log: '127.0.0.1:9',
        others: neighbours.map((one, index) => ({ name: `neighbour-${index}`, socket: sockets(one).socket })),
      },
      services: {
        gs: {
          routes: ['/'],
          // The instances run in the process of the test, which may stall for a moment.
          health: { interval: '500ms', fastInterval: '100ms', timeout: '60s' },
          slowStart: '0s',
          instances: origins.map(({ url }, index) => ({ id: `gs-${index + 1}`, url })),
        },
      },
    }),
  );
  const agent = run(folder, `http://127.0.0.1:${bind}`);
  // Recorded at once, so that it is stopped even if it never answers.
  agents[folders.indexOf(folder)] = agent;
  await answering(agent);
}

/** Starts HAProxy with the file that the agent has written. */
async function haproxyOf(folder: string): Promise<LocalHaproxy> {
  const configFile = join(folder, 'haproxy.cfg');
  if (!(await until(() => existsSync(configFile), PATIENCE))) {
    throw new Error(`no haproxy.cfg:\n${readFileSync(join(folder, 'agent.log'), 'utf8')}`);
  }
  return startHaproxy({ configFile, masterSocket: sockets(folder).masterSocket });
}

/** Waits until the instance has this status at all HAProxies. */
const inAll = (id: string, wanted: string) =>
  vi.waitFor(async () => {
    const words = folders.map(async (folder) => {
      const stats = parseStat(await haproxyCommand(sockets(folder).socket, 'show stat -1 4 -1'));
      return stats.find(({ instance }) => instance === id)?.status.split(' ')[0];
    });
    expect(await Promise.all(words)).toEqual(folders.map(() => wanted));
  }, PATIENCE);

/** Waits until the API answers. */
async function answering(agent: TestAgent): Promise<TestAgent> {
  const answers = await until(() => agent.role().catch(() => ''), { withinMs: 60_000 });
  if (!answers) throw new Error(`the agent does not answer:\n${agent.log()}`);
  return agent;
}

function run(folder: string, url: string): TestAgent {
  const logFile = join(folder, 'agent.log');
  const child = spawn(
    'sh',
    [
      '-c',
      `exec "$0" agent/main.ts --config "$1/acgs-lb.yaml" --state-dir "$1/state" >>"$2" 2>&1`,
      process.execPath,
      folder,
      logFile,
    ],
    {
      stdio: 'ignore',
      env: {
        ...process.env,
        ACGS_TOKEN: TOKEN,
        INTENT_KEY,
        REDIS_URL: redis.url,
        // Not reachable: history, which this test does not cover, stays in the spool.
        DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none',
        SNAPSHOT_SIGNING_KEY: edge.signingKey,
      },
    },
  );
  const isGone = () => child.exitCode !== null || child.signalCode !== null;
  return {
    url,
    child,
    isGone,
    log: () => readFileSync(logFile, 'utf8'),
    async role() {
      const health = (await (await fetch(`${url}/health`)).json()) as { leader: { role: string } };
      return health.leader.role;
    },
    async admin(instance, state) {
      const response = await fetch(`${url}/v1/services/gs/instances/${instance}/admin`, {
        method: 'PUT',
        headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
        body: JSON.stringify({ state }),
      });
      if (!response.ok) throw new Error(await response.text());
    },
    async end() {
      if (isGone()) return;
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGCONT');
      child.kill('SIGTERM');
      await ended;
    },
  };
}

async function hubOrder(): Promise<SnapshotOrder> {
  return (await (await fetch(`${edge.url}/__acgs/snapshot/main`)).json()) as SnapshotOrder;
}

/** The edge's status document, as text. */
async function edgeKnows(): Promise<string> {
  const response = await fetch(`${edge.url}/__acgs/status`, {
    headers: { authorization: `Bearer ${EDGE_TOKEN}` },
  });
  return response.text();
}
const edgeSays = (id: string, word: string) =>
  until(async () => new RegExp(`"id":"${id}"[^}]*${word}`).test(await edgeKnows()), PATIENCE);

/** A running agent that is not this one. */
const other = (agent: TestAgent) => agents.find((one) => one !== agent && !one.isGone()) as TestAgent;
async function leader(): Promise<TestAgent> {
  const found = await until(async () => {
    const roles = await Promise.all(agents.map((agent) => agent.role().catch(() => 'gone')));
    const leading = agents.filter((_, index) => roles[index] === 'leader');
    return leading.length === 1 && leading[0];
  }, PATIENCE);
  if (!found) throw new Error(`no leader:\n${agents.map((agent) => agent.log()).join('\n')}`);
  return found;
}

test('one agent leads and publishes; a request to another one reaches the edge', async () => {
  const first = await leader();
  expect(await until(async () => (await hubOrder()).epoch > 0)).toBe(true);
  await other(first).admin('gs-1', 'drain');
  expect(await edgeSays('gs-1', '"state":"draining"')).toBe(true);
  await inAll('gs-1', 'DRAIN');
});

/** The greatest epoch that the agent has claimed. */
const claimedBy = (agent: TestAgent): number =>
  Math.max(
    0,
    ...[...agent.log().matchAll(/"epoch":(\d+),"msg":"snapshot epoch claimed"/g)].map(([, n]) => Number(n)),
  );

test('after the leader is killed, another takes over, controls all HAProxies, and publishes; the same when that one is killed', async () => {
  await killLeader();
  await killLeader();
});

async function killLeader(): Promise<void> {
  const first = await leader();
  const second = other(first);
  expect(await until(async () => claimedBy(first) > 0 && (await hubOrder()).epoch >= claimedBy(first))).toBe(
    true,
  );
  await second.admin('gs-1', 'drain');
  expect(await edgeSays('gs-1', '"state":"draining"')).toBe(true);
  first.child.kill('SIGKILL');
  await second.admin('gs-1', 'ready');
  expect(await edgeSays('gs-1', '"state":"up"')).toBe(true);
  expect((await hubOrder()).epoch).toBeGreaterThan(claimedBy(first));
  await inAll('gs-1', 'UP');
}

test('a leader that was paused becomes standby when it resumes, and its snapshots are rejected', async () => {
  // An agent that stalls for longer than the lease loses it; then the attempt proves nothing and is repeated.
  for (let round = 0; round < 5; round++) if (await paused()) return;
  throw new Error('no agent held the lease for long enough');
});

/** False if no other agent held the lease meanwhile, so that the paused one may lead. */
async function paused(): Promise<boolean> {
  const first = await leader();
  const second = other(first);
  const leadsAlone = async () => {
    // Repeated, in case something resumed it.
    first.child.kill('SIGSTOP');
    const roles = await Promise.all(agents.filter((one) => one !== first).map((one) => one.role()));
    return roles.includes('leader');
  };
  expect(await until(leadsAlone, PATIENCE)).toBe(true);
  await second.admin('gs-2', 'maint');
  expect(await edgeSays('gs-2', 'maintenance')).toBe(true);
  const during = await hubOrder();
  const leads = () => first.log().split('this agent is now leader').length;
  const before = leads();
  first.child.kill('SIGCONT');
  expect(await until(async () => leads() > before || (await first.role()) === 'standby')).toBe(true);
  await sleep(1_500);
  const after = await hubOrder();
  const undisturbed = leads() === before;
  if (undisturbed) expect(after.epoch).toBe(during.epoch);
  expect(await edgeSays('gs-2', 'maintenance')).toBe(true);
  await second.admin('gs-2', 'ready');
  expect(await edgeSays('gs-2', '"state":"up"')).toBe(true);
  return undisturbed;
}

test('without Redis the leader stays leader; after it is killed, one of the others sees no heartbeat at the Hub and leads', async () => {
  await redis.stop();
  // From now on no agent can lose the lease to another.
  const first = await leader();
  await origins[1]?.stop();
  expect(await edgeSays('gs-2', '"state":"down"')).toBe(true);
  await inAll('gs-2', 'DOWN');
  expect(await first.role()).toBe('leader');
  first.child.kill('SIGKILL');
  // Both may take over at the same moment. The Hub rejects the lower epoch, so one of them remains.
  const next = await leader();
  expect(next).not.toBe(first);
  // Commands reach the other agents through Redis, so this one goes to the leader.
  await next.admin('gs-1', 'drain');
  expect(await edgeSays('gs-1', '"state":"draining"')).toBe(true);
});

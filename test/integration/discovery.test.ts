import { once } from 'node:events';
import { existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseStat } from '../../agent/haproxy/socket/parse.ts';
import { statusSchema } from '../../agent/http/schemas/status.ts';
import { findProgram } from '../../dev/bootstrap/run.mjs';
import { freePort, freePorts } from '../../dev/ports.ts';
import { type Child, startChild } from '../../dev/servers/child.ts';
import { haproxyCommand, type LocalHaproxy, startHaproxy } from '../../dev/servers/haproxy.ts';
import { type LocalRedis, startRedis } from '../../dev/servers/redis.ts';
import { type DnsServer, startDnsServer } from '../harness/dns-server.ts';
import { eventually } from '../harness/eventually.ts';
import { until } from '../harness/until.ts';

/** Two agents of one site that control one HAProxy; instances from a file and from a real DNS server. */

const folders = ['a', 'b'].map((name) => mkdtempSync(join(tmpdir(), `acgs-list-${name}-`)));
const [home = ''] = folders;
const listFile = join(home, 'list.yaml');
const HOSTS = [2, 3, 4] as const;
let redis: LocalRedis;
let dns: DnsServer;
let haproxy: LocalHaproxy;
let instances: Server[];
let port: number;
let gateway: number;
const agents: { child: Child; url: string }[] = [];

const id = (service: string, host: number) => `${service}-127.0.0.${host}-${port}`;
const origin = (host: number) => `http://127.0.0.${host}:${port}`;
const socket = join(home, 'a.sock');
const hosts = (...last: number[]) => last.map((host) => `host-record=web.test,127.0.0.${host}`);

beforeAll(async () => {
  port = await freePort();
  instances = await Promise.all(HOSTS.map(startInstance));
  writeList([origin(2), origin(3)]);
  [redis, dns] = await Promise.all([startRedis(), startDnsServer(hosts(2, 3))]);
  gateway = await freePort();
  for (const folder of folders) agents.push(await startAgent(folder));
  await until(() => existsSync(join(home, 'haproxy.cfg')));
  haproxy = await startHaproxy({
    configFile: join(home, 'haproxy.cfg'),
    masterSocket: join(home, 'm.sock'),
  });
});

afterAll(async () => {
  await Promise.all(agents.map(({ child }) => child.stop()));
  await Promise.all([haproxy?.stop(), redis?.stop(), dns?.stop()]);
  for (const server of instances ?? []) server.close().closeAllConnections();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

async function startInstance(host: number): Promise<Server> {
  const server = createServer((_, response) => response.end(`host ${host}`));
  await once(server.listen(port, `127.0.0.${host}`), 'listening');
  return server;
}

/** Replaces the file by a rename, so that the agent never reads half a list. */
function writeList(list: unknown): void {
  writeFileSync(`${listFile}.new`, JSON.stringify(list));
  renameSync(`${listFile}.new`, listFile);
}

async function startAgent(folder: string): Promise<{ child: Child; url: string }> {
  const [bind = 0, check = 0, ownGateway = 0, stats = 0] = await freePorts(4);
  const isHome = folder === home;
  const health = { interval: '500ms', fastInterval: '100ms', timeout: '60s' };
  writeFileSync(
    join(folder, 'acgs-lb.yaml'),
    JSON.stringify({
      version: 1,
      site: { id: 'main', agents: 2 },
      agent: { bind: `127.0.0.1:${bind}` },
      haproxy: {
        socket: join(folder, 'a.sock'),
        masterSocket: join(folder, 'm.sock'),
        file: join(folder, 'haproxy.cfg'),
        agentCheck: `127.0.0.1:${check}`,
        bind: [`127.0.0.1:${isHome ? gateway : ownGateway}`],
        stats: `127.0.0.1:${stats}`,
        threads: 1,
        log: '127.0.0.1:9',
        others: isHome ? [] : [{ name: 'a', socket }],
      },
      registry: { allowNetworks: ['127.0.0.0/8'] },
      defaults: { health, slowStart: '0s', access: [] },
      services: {
        web: { routes: ['/'], instancesFrom: { dns: 'web.test', server: dns.address, port, drain: '1s' } },
        srv: { routes: ['/srv'], instancesFrom: { dns: '_http._tcp.web.test', server: dns.address } },
        listed: { routes: ['/listed'], instancesFrom: { file: listFile, drain: '1s' } },
      },
    }),
  );
  return { child: await runAgent(folder), url: `http://127.0.0.1:${bind}` };
}

const runAgent = (folder: string): Promise<Child> =>
  startChild({
    name: 'agent',
    command: process.execPath,
    args: ['agent/main.ts', '--config', join(folder, 'acgs-lb.yaml'), '--state-dir', join(folder, 'state')],
    logFile: join(folder, 'log'),
    env: {
      ...process.env,
      ACGS_TOKEN: 'discovery-test-token',
      INTENT_KEY: 'a-random-key-of-at-least-32-characters',
      REDIS_URL: redis.url,
      DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none',
    },
  });

const status = async ({ url }: { url: string }) =>
  statusSchema.parse(await (await fetch(`${url}/v1/status`)).json());

/** The instances of a service on every agent, each with its state. */
const onEveryAgent = (service: string, wanted: string[]) =>
  eventually(async () => {
    const found = await Promise.all(agents.map(status));
    const of = ({ services }: (typeof found)[number]) =>
      services
        .find((one) => one.id === service)
        ?.instances.map((one) => `${one.id} ${one.state}`)
        .sort();
    expect(found.map(of)).toEqual(agents.map(() => wanted));
  });

const inHaproxy = (service: string, wanted: string[]) =>
  eventually(async () => {
    const stats = parseStat(await haproxyCommand(socket, 'show stat -1 4 -1'));
    const found = stats.filter((one) => one.service === service && one.status.startsWith('UP'));
    expect(found.map(({ instance }) => instance).sort()).toEqual(wanted);
  });

/** The leader's status of a source. */
const sourceSays = (service: string, wanted: object) =>
  eventually(async () => {
    const found = await Promise.all(agents.map(status));
    const sources = found.flatMap((one) => one.sources).filter((one) => one.service === service);
    expect(sources).toContainEqual(expect.objectContaining(wanted));
    expect(sources.filter(({ state }) => state === 'standby')).toHaveLength(1);
    return found.flatMap((one) => one.changes);
  });

describe('a list in a file', () => {
  test('both agents have the same instances, and HAProxy sends them requests', async () => {
    await onEveryAgent('listed', [`${id('listed', 2)} up`, `${id('listed', 3)} up`]);
    await inHaproxy('listed', [id('listed', 2), id('listed', 3)]);
    const answer = await fetch(`http://127.0.0.1:${gateway}/listed`);
    expect(await answer.text()).toMatch(/^host [23]$/);
  });

  test('a new instance is probed first; one that left is drained and removed', async () => {
    writeList([origin(3), { id: 'third', url: origin(4), weight: 50 }]);
    await onEveryAgent('listed', [`${id('listed', 3)} up`, 'third up']);
    await inHaproxy('listed', [id('listed', 3), 'third']);
    const { changes } = await status(agents[0] ?? { url: '' });
    const kinds = (instance: string) =>
      changes
        .filter((change) => change.instance === instance)
        .map(({ kind, to = '', reason }) => `${kind} ${to} ${reason}`)
        .reverse();
    expect(kinds(id('listed', 2)).slice(-3)).toEqual([
      expect.stringMatching(/^admin drain no longer listed by file /),
      expect.stringMatching(/^state draining /),
      expect.stringMatching(/^deregistered {2}no longer listed by file /),
    ]);
    expect(kinds('third')[0]).toMatch(/^registered {2}listed by file /);
    expect(kinds('third')).toContainEqual(expect.stringMatching(/^health up /));
  });

  test('an empty, invalid or missing list removes nothing and is reported', async () => {
    writeList([]);
    await sourceSays('listed', { state: 'refused', problem: 'it lists 0 instances; the minimum is 1' });
    writeList([origin(3), 'http://192.0.2.1']);
    await sourceSays('listed', {
      state: 'refused',
      problem: '192.0.2.1 is outside registry.allowNetworks (127.0.0.0/8; never link-local)',
    });
    writeFileSync(listFile, 'nonsense');
    const changes = await sourceSays('listed', {
      state: 'failing',
      problem: expect.stringContaining('the file holds "nonsense"; expected a list of instances'),
    });
    expect(changes).toContainEqual(
      expect.objectContaining({ kind: 'discovery', service: 'listed', to: 'failing', instance: '' }),
    );
    await onEveryAgent('listed', [`${id('listed', 3)} up`, 'third up']);
  });
});

describe.skipIf(!findProgram('dnsmasq'))('a DNS name', () => {
  test('A records, and a change of them', async () => {
    await restartDns(hosts(2, 3));
    await onEveryAgent('web', [`${id('web', 2)} up`, `${id('web', 3)} up`]);
    await restartDns(hosts(3, 4));
    await onEveryAgent('web', [`${id('web', 3)} up`, `${id('web', 4)} up`]);
    await inHaproxy('web', [id('web', 3), id('web', 4)]);
  });

  test('SRV records with priority and weight', async () => {
    await restartDns([
      ...hosts(3, 4),
      'host-record=two.test,127.0.0.2',
      `srv-host=_http._tcp.web.test,two.test,${port},10,20`,
      'host-record=three.test,127.0.0.3',
      `srv-host=_http._tcp.web.test,three.test,${port},20,0`,
    ]);
    await onEveryAgent('srv', [`${id('srv', 2)} up`, `${id('srv', 3)} up`]);
    const { services } = await status(agents[0] ?? { url: '' });
    const srv = services.find((one) => one.id === 'srv')?.instances ?? [];
    expect(srv.map(({ priority, source }) => [priority, source]).sort()).toEqual([
      [1, 'dns _http._tcp.web.test'],
      [2, 'dns _http._tcp.web.test'],
    ]);
  });

  test('a dead DNS server freezes the list, also when both agents start again', async () => {
    await restartDns(hosts(3, 4));
    await onEveryAgent('web', [`${id('web', 3)} up`, `${id('web', 4)} up`]);
    await dns.stop();
    await sourceSays('web', { state: 'failing', problem: expect.stringContaining('A records of web.test') });
    for (const agent of agents) await agent.child.stop();
    for (const [index, agent] of agents.entries()) agent.child = await runAgent(folders[index] ?? '');
    await sourceSays('web', { state: 'failing' });
    await onEveryAgent('web', [`${id('web', 3)} up`, `${id('web', 4)} up`]);
    await restartDns(hosts(4));
    await onEveryAgent('web', [`${id('web', 4)} up`]);
  });

  async function restartDns(records: string[]): Promise<void> {
    const wanted = Number(dns.address.split(':')[1]);
    await dns.stop();
    dns = await startDnsServer(records, wanted);
  }
});

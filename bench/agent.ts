import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePorts } from '../dev/ports.ts';
import { startPostgres } from '../dev/servers/postgres.ts';
import { cpuMicros, rssBytes } from './process-stats.ts';
import { type BenchGoal, type BenchTable, tableOf } from './table.ts';

/**
 * The cost of an instance in the agent: the whole agent as a separate process with Postgres, and a real HTTP server for each
 * instance on a loopback address. HAProxy and Redis are left out, because their clients cost the same for any
 * number of instances.
 */

const ROOT = join(import.meta.dirname, '..');
/** Every instance is probed this often: 10,000 of them 2,500 times a second. */
const INTERVAL_MS = 4_000;
const INSTANCES_PER_SERVICE = 50;
const FLEETS = [14, 10_000] as const;
const TIMES: ObservationTimes = { settleMs: 20_000, measureMs: 10_000 };
/** A server listens on this many ports of one address. */
const PORTS = 50;
/** Of one process. An instance takes two file descriptors, and a process often has no more than 20,000. */
const INSTANCES_PER_PROCESS = 2_500;

/** A process that answers for some of the instances. 127.0.0.0/8 is the loopback interface. */
const SERVERS = `
import { createServer } from 'node:http';
import { createServer as createListener } from 'node:net';
const http = createServer({ keepAliveTimeout: 600_000 }, (_, response) => {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': 15 });
  response.end('{"status":"ok"}');
});
let open = 0;
const { addresses, ports } = JSON.parse(process.argv[1]);
for (const host of addresses) for (const port of ports) {
  createListener((socket) => http.emit('connection', socket)).listen({ host, port, backlog: 16 }, () => {
    if (++open === addresses.length * ports.length) process.send('ready');
  });
}
process.on('disconnect', () => process.exit(0));
`;

interface ObservationTimes {
  settleMs: number;
  measureMs: number;
}

interface AgentCost {
  instances: number;
  rssMiB: number;
  heapMiB: number;
  externalMiB: number;
  perSecond: number;
  failed: number;
  /** The failed probes by kind. */
  failures: { [kind: string]: number };
  cpuPercent: number;
  lateMs: { mean: number; p99: number; max: number };
}

export async function benchAgent(): Promise<BenchTable[]> {
  const postgres = await startPostgres();
  try {
    // The first start of a checkout compiles TypeScript, and keeps the compiler in memory.
    await measureAgent(FLEETS[0], postgres.url, { settleMs: 1_000, measureMs: 1_000 });
    const costs: AgentCost[] = [];
    for (const instances of FLEETS) {
      const cost = await measureAgent(instances, postgres.url);
      for (const [kind, count] of Object.entries(cost.failures))
        console.log(`${count} probes failed: ${kind}`);
      costs.push(cost);
    }
    return tablesOf(costs);
  } finally {
    await postgres.stop();
  }
}

async function measureAgent(instances: number, databaseUrl: string, times = TIMES): Promise<AgentCost> {
  const folder = mkdtempSync(join(tmpdir(), 'acgs-bench-agent-'));
  const fleet = await startFleet(instances);
  const [api = 0, check = 0] = await freePorts(2);
  writeFileSync(join(folder, 'acgs-lb.yaml'), configuration(fleet.urls, { api, check, folder }));
  // The first line of the launcher sets the options of Node.
  const agent = spawn(
    join(ROOT, 'bin/acgs-lb.mjs'),
    ['--state-dir', folder, 'agent', '--config', join(folder, 'acgs-lb.yaml')],
    {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: {
        PATH: process.env.PATH,
        HOME: folder,
        DATABASE_URL: databaseUrl,
        ACGS_TOKEN: 'bench-0123456789abcdef',
      },
    },
  );
  try {
    return await observe(agent, { instances, url: `http://127.0.0.1:${api}`, ...times });
  } finally {
    agent.kill('SIGKILL');
    await fleet.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function startFleet(count: number): Promise<{ urls: string[]; stop(): Promise<void> }> {
  const ports = await freePorts(Math.min(count, PORTS));
  const addresses = Array.from(
    { length: Math.ceil(count / ports.length) },
    (_, index) => `127.0.${1 + Math.floor(index / 250)}.${1 + (index % 250)}`,
  );
  const perProcess = INSTANCES_PER_PROCESS / PORTS;
  const processes = Array.from({ length: Math.ceil(addresses.length / perProcess) }, (_, index) =>
    startServers(addresses.slice(index * perProcess, (index + 1) * perProcess), ports),
  );
  await Promise.all(processes.map((child) => once(child, 'message')));
  const urls = addresses.flatMap((host) => ports.map((port) => `http://${host}:${port}`));
  return {
    urls: urls.slice(0, count),
    async stop() {
      await Promise.all(
        processes.map(async (child) => {
          const exited = once(child, 'exit');
          child.kill();
          await exited;
        }),
      );
    },
  };
}

const startServers = (addresses: readonly string[], ports: readonly number[]): ChildProcess =>
  spawn(process.execPath, ['--input-type=module', '--eval', SERVERS, JSON.stringify({ addresses, ports })], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });

function configuration(urls: readonly string[], at: { api: number; check: number; folder: string }): string {
  const services = Array.from({ length: Math.ceil(urls.length / INSTANCES_PER_SERVICE) }, (_, index) => {
    const own = urls.slice(index * INSTANCES_PER_SERVICE, (index + 1) * INSTANCES_PER_SERVICE);
    return `  s${index}:
    routes: [/s${index}]
    health: { interval: ${INTERVAL_MS}ms, fastInterval: 1s }
    instances:
${own.map((url, n) => `      - { id: s${index}-${n}, url: "${url}" }`).join('\n')}`;
  });
  return `version: 1
site: { id: bench }
agent: { bind: 127.0.0.1:${at.api} }
haproxy: { socket: ${at.folder}/none.sock, file: ${at.folder}/haproxy.cfg, agentCheck: 127.0.0.1:${at.check} }
services:
${services.join('\n')}
`;
}

async function observe(
  agent: ChildProcess,
  { instances, url, settleMs, measureMs }: ObservationTimes & { instances: number; url: string },
): Promise<AgentCost> {
  const exited = once(agent, 'exit').then(() => {
    throw new Error('the agent exited');
  });
  const pid = agent.pid ?? 0;
  const measured = async (): Promise<AgentCost> => {
    await untilReady(url);
    await sleep(settleMs);
    const before = { probes: await readProbes(url), cpu: cpuMicros(pid), at: performance.now() };
    await sleep(measureMs);
    const after = { probes: await readProbes(url), cpu: cpuMicros(pid), at: performance.now() };
    const seconds = (after.at - before.at) / 1000;
    const memory = await readMemory(url);
    return {
      instances,
      rssMiB: rssBytes(pid) / 2 ** 20,
      ...memory,
      perSecond: (after.probes.started - before.probes.started) / seconds,
      failed: after.probes.failed - before.probes.failed,
      failures: failuresBetween(before.probes, after.probes),
      cpuPercent: (after.cpu - before.cpu) / 1e4 / seconds,
      lateMs: after.probes.latenessMs,
    };
  };
  return Promise.race([measured(), exited]);
}

async function untilReady(url: string): Promise<void> {
  for (;;) {
    const ready = await fetch(`${url}/health`).then(
      (response) => response.ok,
      () => false,
    );
    if (ready) return;
    await sleep(200);
  }
}

interface ProbeStats {
  started: number;
  failed: number;
  failures: { [kind: string]: number };
  latenessMs: { mean: number; p99: number; max: number };
}

const readProbes = async (url: string): Promise<ProbeStats> => {
  const health = (await (await fetch(`${url}/health`)).json()) as { probes: ProbeStats };
  return health.probes;
};

function failuresBetween(before: ProbeStats, after: ProbeStats): AgentCost['failures'] {
  const grown = Object.entries(after.failures).map(
    ([kind, count]) => [kind, count - (before.failures[kind] ?? 0)] as const,
  );
  return Object.fromEntries(grown.filter(([, count]) => count > 0));
}

async function readMemory(url: string): Promise<{ heapMiB: number; externalMiB: number }> {
  const page = await (await fetch(`${url}/metrics`)).text();
  const bytes = (name: string) => Number(new RegExp(`^${name} (.*)$`, 'm').exec(page)?.[1]) / 2 ** 20;
  return {
    heapMiB: bytes('nodejs_heap_size_used_bytes'),
    externalMiB: bytes('nodejs_external_memory_bytes'),
  };
}

function tablesOf(costs: readonly AgentCost[]): BenchTable[] {
  const nameOf = ({ instances }: AgentCost): string => `${instances.toLocaleString('en')} instances`;
  const [rest, most] = [costs[0], costs.at(-1)];
  if (!rest || !most) throw new Error('no fleet was measured');
  const table = (
    title: string,
    unit: string,
    of: (cost: AgentCost) => number,
    goals: BenchGoal[] = [],
  ): BenchTable =>
    tableOf(
      title,
      unit,
      costs.map((cost) => ({ what: nameOf(cost), rounds: [of(cost)] })),
      goals,
    );
  const each = ((most.rssMiB - rest.rssMiB) * 1_024) / (most.instances - rest.instances);
  const perInstance = `each instance above ${rest.instances}`;
  return [
    table('Memory (RSS)', 'MiB', ({ rssMiB }) => rssMiB, [
      { what: nameOf(rest), figure: 'value', atMost: 120 },
    ]),
    table('Memory (heap)', 'MiB', ({ heapMiB }) => heapMiB),
    table('Memory (external)', 'MiB', ({ externalMiB }) => externalMiB),
    tableOf(
      'Memory of an instance',
      'KiB',
      [{ what: perInstance, rounds: [each] }],
      [{ what: perInstance, figure: 'value', atMost: 20 }],
    ),
    table('Probes', 'probes/s', ({ perSecond }) => perSecond),
    table('Failed probes', 'probes', ({ failed }) => failed, [
      { what: nameOf(most), figure: 'value', atMost: 0 },
    ]),
    table('Processor time', '% of a core', ({ cpuPercent }) => cpuPercent),
    table('Lateness of probes, p99', 'ms', ({ lateMs }) => lateMs.p99, [
      { what: nameOf(most), figure: 'value', atMost: 50 },
    ]),
    table('Lateness of probes, worst', 'ms', ({ lateMs }) => lateMs.max),
  ];
}

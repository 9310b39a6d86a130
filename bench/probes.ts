import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { performance } from 'node:perf_hooks';
import { Client } from 'undici';
import { initialRecords } from '../agent/judge/initial.ts';
import { step } from '../agent/judge/step.ts';
import { createHttpProbe } from '../agent/probes/http1/probe.ts';
import { createProber } from '../agent/probes/scheduler.ts';
import { probeTargetsOf } from '../agent/probes/targets.ts';
import { parseConfig } from '../shared/config/load.ts';
import { type BenchTable, compareInterleaved, tableOf } from './table.ts';

/**
 * Two measurements of probing: probes and judgements per CPU second, compared with a loop that only sends the same request
 * through undici clients; and the lateness and cost of probing 5,000 instances every two seconds.
 */

const CONNECTIONS = 64;
const MEASURE_MS = 1_500;
const WARM_UP_MS = 500;
const FLEET = { instances: 5_000, intervalMs: 2_000, measureMs: 16_000, servers: 4 };

/** The servers run in another process, so that the measurement covers the prober only. */
const SERVERS = `
import { createServer } from 'node:http';
const ports = [];
for (let i = 0; i < ${FLEET.servers}; i++) {
  const server = createServer({ keepAliveTimeout: 60_000 }, (_, response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': 15 });
    response.end('{"status":"ok"}');
  });
  server.listen(0, '127.0.0.1', () => {
    ports.push(server.address().port);
    if (ports.length === ${FLEET.servers}) process.send(ports);
  });
}
process.on('disconnect', () => process.exit(0));
`;

interface FleetResult {
  perSecond: number;
  failed: number;
  cpuPercent: number;
  rssMb: number;
  latenessMs: { mean: number; p99: number; max: number };
}

export async function benchProbes(): Promise<BenchTable[]> {
  const { child, ports } = await startServers();
  try {
    const url = `http://127.0.0.1:${ports[0]}`;
    const judged = 'probe and judgement';
    const compared = await compareInterleaved(
      `Probes per second of processor time, ${CONNECTIONS} connections`,
      'probes/s',
      {
        'undici requests alone': () => throughput(bareClients(url)),
        [judged]: () => throughput(judgedProbes(url)),
      },
    );
    return [{ ...compared, goals: [{ what: judged, atLeast: 0.7 }] }, ...fleetTables(await fleet(ports))];
  } finally {
    child.kill();
  }
}

function fleetTables({ perSecond, failed, cpuPercent, rssMb, latenessMs }: FleetResult): BenchTable[] {
  if (failed > 0) throw new Error(`${failed} probes failed`);
  const due = (FLEET.instances / FLEET.intervalMs) * 1_000;
  const single = (title: string, unit: string, rows: Record<string, number>): BenchTable =>
    tableOf(
      title,
      unit,
      Object.entries(rows).map(([what, value]) => ({ what, rounds: [value] })),
    );
  return [
    single('Probes of the fleet', 'probes/s', { due, sent: perSecond }),
    single('Lateness', 'ms', { mean: latenessMs.mean, worst: latenessMs.max }),
    single('Processor time of the prober', '% of a core', { 'the whole fleet': cpuPercent }),
    single('Memory of the prober', 'MB', { 'the whole fleet': rssMb }),
  ];
}

async function startServers(): Promise<{ child: ChildProcess; ports: number[] }> {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', SERVERS], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const [ports] = await once(child, 'message');
  return { child, ports };
}

interface ProbeLoad {
  one(index: number): Promise<void>;
  close(): void;
}

/** The limit of undici with sequential requests on each connection. */
function bareClients(url: string): ProbeLoad {
  const clients = Array.from({ length: CONNECTIONS }, () => new Client(url));
  return {
    async one(index) {
      const answer = await clients[index]?.request({ path: '/health', method: 'GET' });
      await answer?.body.dump();
    },
    close() {
      for (const client of clients) client.destroy().catch(() => {});
    },
  };
}

/** The agent's probe and judgement. */
function judgedProbes(url: string): ProbeLoad {
  const { config, records } = fleetOf(CONNECTIONS, () => url);
  const probes = probeTargetsOf(
    [...records.values()].map(({ instance }) => instance),
    config,
  ).map((target) => ({ target, probe: createHttpProbe(target, () => {}) }));
  return {
    async one(index) {
      const own = probes[index];
      if (!own) return;
      const { service, instance } = own.target;
      const observation = await own.probe.run();
      const event = { kind: 'probe', service, instance, at: Date.now(), ...observation } as const;
      for (const record of step(records, event, config.services, event.at).records) {
        records.set(own.target.key, record);
      }
    },
    close() {
      for (const { probe } of probes) probe.close();
    },
  };
}

/** Requests per second of CPU time, which other load on the machine affects less than wall time. */
async function throughput(load: ProbeLoad): Promise<number> {
  let done = 0;
  let running = true;
  const loops = Array.from({ length: CONNECTIONS }, async (_, index) => {
    while (running) {
      await load.one(index);
      done++;
    }
  });
  await wait(WARM_UP_MS);
  done = 0;
  const before = process.cpuUsage();
  await wait(MEASURE_MS);
  const { user, system } = process.cpuUsage(before);
  const perCpuSecond = done / ((user + system) / 1e6);
  running = false;
  await Promise.all(loops);
  load.close();
  return perCpuSecond;
}

async function fleet(ports: number[]): Promise<FleetResult> {
  const { config, records } = fleetOf(
    FLEET.instances,
    (index) => `http://127.0.0.1:${ports[index % ports.length]}`,
  );
  let results = 0;
  const prober = createProber({
    onResult(event) {
      results++;
      const outcome = step(records, event, config.services, event.at);
      for (const record of outcome.records) {
        records.set(`${event.service}/${event.instance}`, record);
        prober.setProbeInterval(`${event.service}/${event.instance}`, 'normal');
      }
    },
  });
  prober.sync(
    probeTargetsOf(
      [...records.values()].map(({ instance }) => instance),
      config,
    ),
  );
  await wait(2 * FLEET.intervalMs + WARM_UP_MS);
  prober.stats();
  const before = { cpu: process.cpuUsage(), at: performance.now(), failed: prober.stats().failed };
  results = 0;
  await wait(FLEET.measureMs);
  const seconds = (performance.now() - before.at) / 1000;
  const { user, system } = process.cpuUsage(before.cpu);
  const { latenessMs, failed } = prober.stats();
  prober.close();
  return {
    perSecond: results / seconds,
    failed: failed - before.failed,
    cpuPercent: ((user + system) / 1e6 / seconds) * 100,
    rssMb: process.memoryUsage.rss() / 1e6,
    latenessMs,
  };
}

function fleetOf(count: number, urlOf: (index: number) => string) {
  const config = parseConfig(`
version: 1
site: { id: bench }
services: { gs: { routes: [/], health: { interval: ${FLEET.intervalMs}ms, fastInterval: 1s } } }
`);
  const gs = config.services.gs;
  if (!gs) throw new Error('the configuration has no gs');
  const instances = Array.from({ length: count }, (_, index) => ({
    id: `gs-${index}`,
    url: urlOf(index),
    weight: 100,
    priority: 1,
    metadata: {},
  }));
  const filled = { ...config, services: { gs: { ...gs, instances } } };
  const records = new Map(
    initialRecords(filled, null, Date.now()).map((record) => [`gs/${record.instance.id}`, record]),
  );
  return { config: filled, records };
}

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

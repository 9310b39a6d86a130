import { statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { configInstances, type RenderInput } from '../agent/haproxy/render/input.ts';
import { installHaproxyConfig } from '../agent/haproxy/render/install.ts';
import { renderHaproxyConfig } from '../agent/haproxy/render/render.ts';
import { requestReload } from '../agent/haproxy/socket/master.ts';
import { parseInfo } from '../agent/haproxy/socket/parse.ts';
import { freePorts } from '../dev/ports.ts';
import { createPrivateFolder, removeFolder } from '../dev/servers/folder.ts';
import { haproxyCommand, startHaproxy, validateHaproxyConfig } from '../dev/servers/haproxy.ts';
import { parseConfig } from '../shared/config/load.ts';
import { until } from '../test/harness/until.ts';
import { rssBytes } from './process-stats.ts';
import { type BenchTable, tableOf } from './table.ts';

const SERVICES = 100;
const EACH = 10;
const RELOADS = 5;

/** Each figure with its rounds. */
interface HaproxyBenchRow {
  what: string;
  fileKb: number[];
  checkMs: number[];
  reloadMs: number[];
  workerMb: number[];
}

/** The cost of a thousand instances in HAProxy, compared with a minimal configuration of the same checked servers. */
export async function benchHaproxy(): Promise<BenchTable[]> {
  const folder = createPrivateFolder('acgs-bf');
  // One server for all instances, each at its own loopback address.
  const server = createServer((_, response) => response.end('ok'));
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
  try {
    const { port } = server.address() as AddressInfo;
    const { row: ours, renderMs } = await ourRow(folder, port);
    const rows = [await bareRow(folder, port), ours];
    const table = (title: string, unit: string, of: keyof Omit<HaproxyBenchRow, 'what'>): BenchTable =>
      tableOf(
        title,
        unit,
        rows.map((row) => ({ what: row.what, rounds: row[of] })),
      );
    return [
      table('Configuration file', 'KB', 'fileKb'),
      table('`haproxy -c`', 'ms', 'checkMs'),
      table("From the reload request to the new worker's response", 'ms', 'reloadMs'),
      table('Memory of the worker', 'MB', 'workerMb'),
      tableOf('Rendering the file in the agent', 'ms', [{ what: 'acgs-lb', rounds: renderMs }]),
    ];
  } finally {
    server.closeAllConnections();
    server.close();
    removeFolder(folder);
  }
}

const addressOf = (service: number, index: number): string => `127.1.${service}.${index + 1}`;
const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

async function ourRow(folder: string, port: number): Promise<{ row: HaproxyBenchRow; renderMs: number[] }> {
  const [bind = 0, stats = 0, check = 0, agent = 0] = await freePorts(4);
  const [socket, masterSocket] = [join(folder, 'a.sock'), join(folder, 'm.sock')];
  const config = parseConfig(
    JSON.stringify({
      version: 1,
      site: { id: 'main' },
      agent: { bind: `127.0.0.1:${agent}` },
      haproxy: {
        bind: [`127.0.0.1:${bind}`],
        stats: `127.0.0.1:${stats}`,
        agentCheck: `127.0.0.1:${check}`,
        socket,
        masterSocket,
        file: join(folder, 'haproxy.cfg'),
        log: '127.0.0.1:9',
        threads: 2,
      },
      services: Object.fromEntries(
        numbers(SERVICES).map((service) => [
          `s${service}`,
          {
            routes: [`/s${service}`],
            instances: numbers(EACH).map((index) => ({
              id: `s${service}-${index}`,
              url: `http://${addressOf(service, index)}:${port}`,
            })),
          },
        ]),
      ),
    }),
  );
  const secrets = { statsUser: 'admin', statsPassword: 'bench', edgePublicKeys: '' };
  const input: RenderInput = { config, instances: configInstances(config), secrets };
  const renderMs = numbers(RELOADS).map(() => millisecondsOf(() => renderHaproxyConfig(input)));
  await installHaproxyConfig(input);
  const row = await measured(config.haproxy.file, socket, masterSocket);
  return { row: { what: 'acgs-lb, as rendered', ...row }, renderMs };
}

async function bareRow(folder: string, port: number): Promise<HaproxyBenchRow> {
  const [bind = 0] = await freePorts(1);
  const [file, socket, masterSocket] = ['bare.cfg', 'b.sock', 'bm.sock'].map((name) => join(folder, name));
  if (!file || !socket || !masterSocket) throw new Error('three names, three paths');
  const backends = numbers(SERVICES).map((service) => {
    const servers = numbers(EACH).map(
      (index) => `  server s${service}-${index} ${addressOf(service, index)}:${port} check inter 10s\n`,
    );
    return `backend s${service}\n  option httpchk GET /health\n${servers.join('')}`;
  });
  writeFileSync(
    file,
    `global
  nbthread 2
  stats socket ${socket} mode 600 level admin expose-fd listeners
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 30s
frontend all
  bind 127.0.0.1:${bind}
  use_backend %[path,field(2,/)]
${backends.join('')}`,
  );
  return {
    what: 'minimal file, same servers',
    ...(await measured(file, socket, masterSocket)),
  };
}

/** Validates, starts and reloads HAProxy while it checks all servers. */
async function measured(configFile: string, socket: string, masterSocket: string) {
  const checkMs = numbers(RELOADS).map(() => millisecondsOf(() => validateHaproxyConfig(configFile)));
  const haproxy = await startHaproxy({ configFile, masterSocket });
  const worker = async () => parseInfo(await haproxyCommand(socket, 'show info').catch(() => '')).pid;
  try {
    const reloadMs: number[] = [];
    const workerMb: number[] = [];
    for (let reload = 0; reload < RELOADS; reload++) {
      const before = await worker();
      const began = performance.now();
      await requestReload(masterSocket);
      const isNew = async () => ![0, before].includes(await worker());
      if (!(await until(isNew, { withinMs: 20_000 }))) throw new Error('no new worker');
      reloadMs.push(performance.now() - began);
      workerMb.push(rssBytes(await worker()) / 2 ** 20);
    }
    return { fileKb: [statSync(configFile).size / 1024], checkMs, reloadMs, workerMb };
  } finally {
    await haproxy.stop();
  }
}

function millisecondsOf(work: () => unknown): number {
  const began = performance.now();
  work();
  return performance.now() - began;
}

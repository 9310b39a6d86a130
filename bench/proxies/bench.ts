import { createPrivateFolder, removeFolder } from '../../dev/servers/folder.ts';
import { service, sessionCookie } from '../edge.ts';
import { startGateway } from '../gateway.ts';
import { startRig } from '../rig.ts';
import { type BenchTable, ROUNDS, tableOf } from '../table.ts';
import { median, runWrk, type WrkLoad, wrkOrThrow } from '../wrk.ts';
import {
  startCaddyProxy,
  startHaproxyProxy,
  startNginxProxy,
  startNodeProxy,
  startOrigin,
} from './servers.ts';

/** One path to the origin. */
interface ProxyVariant {
  what: string;
  /** Base URL of its requests. */
  url: string;
  headers: string[];
}

interface ProxyLoad {
  title: string;
  path: string;
  load: WrkLoad;
}

const SECONDS = 1;
const LOADS: readonly ProxyLoad[] = [
  { title: 'GET, 64 connections', path: '/x', load: { seconds: SECONDS, connections: 64 } },
  { title: 'GET, 1,000 connections', path: '/x', load: { seconds: SECONDS, connections: 1_000 } },
  {
    title: 'POST of 16 KB, 64 connections',
    path: '/x',
    load: {
      seconds: SECONDS,
      connections: 64,
      bodyBytes: 16_384,
      headers: ['content-type: text/plain', 'idempotency-key: bench'],
    },
  },
  { title: '1 MiB down, 64 connections', path: '/1m', load: { seconds: SECONDS, connections: 64 } },
];

/** acgs-lb and other proxies in front of one origin: throughput, and the time that each adds at half load. */
export async function benchProxies(): Promise<BenchTable[]> {
  const folder = createPrivateFolder('acgs-bp');
  const stops: (() => Promise<void>)[] = [];
  try {
    const { origin, contenders } = await startAll(folder, stops);
    for (const { url, headers } of contenders) await wrkOrThrow(`${url}/x`, { seconds: 1, headers });
    const tables: BenchTable[] = [];
    for (const load of LOADS) tables.push(await throughput(load, contenders));
    const slowest = Math.min(...(tables[0]?.rows ?? []).map(({ value }) => value));
    return [...tables, ...(await addedTime(Math.round(slowest / 2), origin, contenders))];
  } finally {
    for (const stop of stops.reverse()) await stop();
    removeFolder(folder);
  }
}

async function startAll(folder: string, stops: (() => Promise<void>)[]) {
  const started = async <T extends { stop(): Promise<void> }>(starting: Promise<T>): Promise<T> => {
    const server = await starting;
    stops.push(() => server.stop());
    return server;
  };
  const origin = (await started(startOrigin(folder))).url;
  const plain = async (what: string, starting: Promise<{ url: string; stop(): Promise<void> }>) => ({
    what,
    url: (await started(starting)).url,
    headers: [],
  });
  const peers: ProxyVariant[] = [
    await plain('nginx', startNginxProxy(origin, folder)),
    await plain('HAProxy', startHaproxyProxy(origin, folder)),
    await plain('Caddy', startCaddyProxy(origin, folder)),
    await plain('http-proxy-3 (Node)', startNodeProxy('http-proxy-3', origin, folder)),
    await plain('@fastify/http-proxy (Node)', startNodeProxy('@fastify/http-proxy', origin, folder)),
  ];
  const open = await started(startGateway(origin, { requireEdge: false }));
  const gateway = await started(startGateway(origin));
  const rig = await started(startRig(origin, { GATEWAY_JWT_KEY: gateway.jwtKey }));
  await rig.publish({
    gateways: [gateway.url],
    services: {
      direct: service(origin, { routes: ['/direct'] }),
      gateway: service(origin, { routes: ['/gateway'], path: 'gateway' }),
    },
  });
  const headers = [`cookie: ${await sessionCookie(rig.edgeUrl, ['/direct/x', '/gateway/x'])}`];
  const contenders: ProxyVariant[] = [
    ...peers,
    { what: 'pass-through Worker (workerd)', url: rig.passThroughUrl, headers },
    { what: 'acgs-lb: HAProxy alone', url: `${open.url}/gateway`, headers: [] },
    { what: 'acgs-lb: edge and HAProxy', url: `${rig.edgeUrl}/gateway`, headers },
    { what: 'acgs-lb: edge, directly', url: `${rig.edgeUrl}/direct`, headers },
  ];
  return { origin, contenders };
}

/** Successful requests per second. */
async function throughput(
  { title, path, load }: ProxyLoad,
  contenders: readonly ProxyVariant[],
): Promise<BenchTable> {
  const rows = contenders.map((contender) => ({ ...contender, rounds: [] as number[] }));
  for (let round = 0; round < ROUNDS; round++) {
    for (const { what, url, headers, rounds } of rows) {
      const result = await runWrk(url + path, { ...load, headers: [...headers, ...(load.headers ?? [])] });
      if (result.failed > 0) {
        console.log(`${title}, ${what}: ${result.failed} of ${result.requests} requests failed`);
      }
      rounds.push(result.succeededPerSecond);
    }
  }
  return tableOf(title, 'requests/s', rows);
}

/** How much longer a request takes than directly at the origin in the same round. */
async function addedTime(
  rate: number,
  origin: string,
  contenders: readonly ProxyVariant[],
): Promise<BenchTable[]> {
  const rows = contenders.map((contender) => ({ ...contender, p50: [] as number[], p99: [] as number[] }));
  const load = { seconds: SECONDS, connections: 64, rate };
  const direct: { p50: number; p99: number }[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const base = await wrkOrThrow(`${origin}/x`, load);
    direct.push(base);
    for (const { url, headers, p50, p99 } of rows) {
      const result = await runWrk(`${url}/x`, { ...load, headers });
      p50.push(Math.max(0, result.p50 - base.p50));
      p99.push(Math.max(0, result.p99 - base.p99));
    }
  }
  const table = (which: 'p50' | 'p99'): BenchTable =>
    tableOf(
      `Added ${which} at half load, ${rate} requests/s (origin alone: ${median(direct.map((one) => one[which])).toFixed(2)} ms)`,
      'ms',
      rows.map((row) => ({ what: row.what, rounds: row[which] })),
    );
  return [table('p50'), table('p99')];
}

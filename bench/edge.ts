import { SlidingLog } from '../shared/limits/sliding-log.ts';
import type {
  SnapshotHeaders,
  SnapshotInstance,
  SnapshotRateLimit,
  SnapshotService,
} from '../shared/snapshot/snapshot.ts';
import { type Gateway, type MeteredHaproxy, startGateway } from './gateway.ts';
import { startGuide } from './gateway-config.ts';
import { type Rig, startBackend, startRig } from './rig.ts';
import { type BenchGoal, type BenchTable, ROUNDS, tableOf } from './table.ts';
import { CONNECTIONS, median, wrk, wrkOrThrow } from './wrk.ts';

const PASS_THROUGH = 'pass-through Worker';
const PASS_THROUGH_HAPROXY = "pass-through Worker through HAProxy with the guide's configuration";
const DIRECT = 'edge, all features, direct';
const THROUGH_HAPROXY = 'edge, all features, through HAProxy';
const FIELDS_OFF = 'default fields off';
const SECONDS = 1;

/** The fields that the edge and the gateway add by default. */
const NO_FIELDS: Partial<SnapshotHeaders> = {
  security: false,
  rateLimit: false,
  via: false,
};

/** Rounds of each figure. */
interface EdgeRounds {
  perSecond: number[];
  cpuMicros: number[];
  gatewayMicros: number[];
  p50: number[];
  p99: number[];
}

interface EdgeVariant {
  what: string;
  url: string;
  headers: string[];
  rig: Rig;
  /** Null: the Worker sends to the backend. */
  haproxy: MeteredHaproxy | null;
  figures: EdgeRounds;
}

/** A workerd with its gateway. */
interface EdgeSite {
  rig: Rig;
  gateway: Gateway;
  /** As browsers do, the client returns the affinity cookie of its first answers. */
  cookie: string[];
  stop(): Promise<void>;
}

/** The edge compared with pass-through Workers: same backend, same run, in alternating rounds. */
export async function benchEdge(): Promise<BenchTable[]> {
  const backend = await startBackend();
  const guide = await startGuide(backend.url);
  const full = await startSite(backend.url, {}, guide.url);
  const plain = await startSite(backend.url, NO_FIELDS);
  try {
    return [...(await throughput({ guide, full, plain })), isolateLimit()];
  } finally {
    await full.stop();
    await plain.stop();
    await guide.stop();
    await backend.stop();
  }
}

async function startSite(
  backend: string,
  headers: Partial<SnapshotHeaders>,
  proxyUrl?: string,
): Promise<EdgeSite> {
  const gateway = await startGateway(backend, { headers });
  const vars = { GATEWAY_JWT_KEY: gateway.jwtKey };
  const rig = await startRig(backend, vars, proxyUrl === undefined ? {} : { proxyUrl });
  await rig.publish(bothWays(backend, gateway, headers));
  return {
    rig,
    gateway,
    cookie: [`cookie: ${await sessionCookie(rig.edgeUrl, ['/direct/x', '/gateway/x'])}`],
    async stop() {
      await rig.stop();
      await gateway.stop();
    },
  };
}

/** A service that the edge reaches directly, and one that it reaches through the gateway. */
const bothWays = (
  backend: string,
  gateway: Pick<Gateway, 'url'>,
  headers: Partial<SnapshotHeaders> = {},
): Parameters<Rig['publish']>[0] => ({
  headers,
  gateways: [gateway.url],
  services: {
    direct: service(backend, { routes: ['/direct'] }),
    gateway: service(backend, { routes: ['/gateway'], path: 'gateway' }),
  },
});

export const LIMIT: SnapshotRateLimit = {
  name: 'per-ip',
  key: 'ip',
  limit: 1e9,
  window: 10_000,
  scope: 'edge',
};

export function service(backend: string, part: Partial<SnapshotService>): SnapshotService {
  const instance = (id: string, url: string): SnapshotInstance => ({
    id,
    url,
    state: 'up',
    reason: '',
    since: 1,
    latencyMs: 2,
  });
  return {
    routes: ['/'],
    timeout: 30_000,
    deadline: 40_000,
    path: 'direct',
    strategy: 'least_response_time',
    failover: {
      strategy: 'graceful',
      maxAttempts: 3,
      retryBudget: 0.2,
      backoff: 25,
      hedge: true,
      class: 5,
      staleIfError: 300_000,
    },
    affinity: { by: 'cookie', ttl: 3_600_000 },
    rateLimits: [LIMIT],
    access: [{ path: '/admin', allow: ['10.0.0.0/8'] }],
    slowStart: 30_000,
    instances: [instance('bench-1', backend), instance('bench-2', backend)],
    ...part,
  };
}

interface EdgeBed {
  guide: MeteredHaproxy;
  full: EdgeSite;
  /** Without the default fields. */
  plain: EdgeSite;
}

function variantsOf({ guide, full, plain }: EdgeBed): EdgeVariant[] {
  const { rig, gateway, cookie } = full;
  const variant = (
    what: string,
    url: string,
    rest: Partial<Pick<EdgeVariant, 'rig' | 'headers' | 'haproxy'>> = {},
  ): EdgeVariant => ({
    what,
    url: `${url}/x?y=1`,
    headers: cookie,
    rig,
    haproxy: null,
    figures: { perSecond: [], cpuMicros: [], gatewayMicros: [], p50: [], p99: [] },
    ...rest,
  });
  const unadorned = { rig: plain.rig, headers: plain.cookie };
  return [
    variant(PASS_THROUGH, `${rig.passThroughUrl}/direct`),
    variant(PASS_THROUGH_HAPROXY, `${rig.passThroughProxyUrl}/gateway`, { haproxy: guide }),
    variant('Worker that rewrites the same header fields', `${rig.rewritingUrl}/direct`),
    variant(DIRECT, `${rig.edgeUrl}/direct`),
    variant(`${DIRECT}, ${FIELDS_OFF}`, `${plain.rig.edgeUrl}/direct`, unadorned),
    variant(THROUGH_HAPROXY, `${rig.edgeUrl}/gateway`, { haproxy: gateway }),
    variant(`${THROUGH_HAPROXY}, ${FIELDS_OFF}`, `${plain.rig.edgeUrl}/gateway`, {
      ...unadorned,
      haproxy: plain.gateway,
    }),
    variant(`${THROUGH_HAPROXY}, each request a new client`, `${rig.edgeUrl}/gateway`, {
      haproxy: gateway,
      headers: [],
    }),
  ];
}

async function throughput(bed: EdgeBed): Promise<BenchTable[]> {
  const variants = variantsOf(bed);
  for (const { url, headers } of variants) await wrk(url, 1, headers);
  for (let round = 0; round < ROUNDS; round++) {
    for (const one of variants) await measureFullLoad(one);
  }
  const slowest = variants.find(({ what }) => what === THROUGH_HAPROXY);
  const rate = Math.round(median(slowest?.figures.perSecond ?? []) / 2);
  for (let round = 0; round < ROUNDS; round++) {
    for (const { url, headers, figures } of variants) {
      const { p50, p99 } = await wrkOrThrow(url, { seconds: SECONDS, headers, rate });
      figures.p50.push(p50);
      figures.p99.push(p99);
    }
  }
  const throughHaproxy = variants.filter(({ haproxy }) => haproxy !== null);
  const table = (
    title: string,
    [of, unit]: [keyof EdgeRounds, string],
    { rows = variants, goals = [] }: { rows?: EdgeVariant[]; goals?: BenchGoal[] } = {},
  ): BenchTable =>
    tableOf(
      title,
      unit,
      rows.map(({ what, figures }) => ({ what, rounds: figures[of] })),
      goals,
    );
  const sameHops = { rows: throughHaproxy };
  return [
    table(`Throughput: GET, ${CONNECTIONS} connections`, ['perSecond', 'requests/s'], {
      goals: [
        { what: DIRECT, atLeast: 0.8 },
        { what: THROUGH_HAPROXY, atLeast: 0.85 },
      ],
    }),
    table('Throughput, with the same hops', ['perSecond', 'requests/s'], sameHops),
    table('Processor time of workerd', ['cpuMicros', 'µs per request']),
    table(`p50 at half load, ${rate} requests/s`, ['p50', 'ms']),
    table(`p99 at half load, ${rate} requests/s`, ['p99', 'ms'], {
      goals: [
        { what: DIRECT, atMost: 1.2 },
        { what: THROUGH_HAPROXY, atMost: 1.2 },
      ],
    }),
    table('Processor time of HAProxy', ['gatewayMicros', 'µs per request'], sameHops),
  ];
}

async function measureFullLoad({ url, headers, rig, haproxy, figures }: EdgeVariant): Promise<void> {
  const read = (): [number, number] => [rig.workerdCpuMicros(), haproxy?.cpuMicros() ?? 0];
  const before = read();
  const { requests, perSecond } = await wrk(url, SECONDS, headers);
  const after = read();
  figures.perSecond.push(perSecond);
  figures.cpuMicros.push((after[0] - before[0]) / requests);
  figures.gatewayMicros.push((after[1] - before[1]) / requests);
}

/** The affinity cookie of a client that has a session with the service of each path. */
export async function sessionCookie(edgeUrl: string, paths: readonly string[]): Promise<string> {
  let cookie = '';
  for (const path of paths) {
    const response = await fetch(edgeUrl + path, { headers: { cookie } });
    await response.text();
    cookie = response.headers.getSetCookie()[0]?.split(';')[0] ?? '';
    if (!cookie.startsWith('acgs_affinity='))
      throw new Error(`${path}: no affinity cookie, ${response.status}`);
  }
  return cookie;
}

function isolateLimit(): BenchTable {
  const keys = Array.from({ length: 100_000 }, (_, i) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
  const decisionsPerSecond = (): number => {
    const limiter = new SlidingLog(20, 10_000);
    const count = 1_000_000;
    const started = performance.now();
    for (let i = 0; i < count; i++)
      limiter.take(keys[i % keys.length] ?? '', 20, 1, 1_700_000_000_000 + i / 100);
    return (count / (performance.now() - started)) * 1_000;
  };
  const rounds = Array.from({ length: ROUNDS }, decisionsPerSecond);
  return tableOf('Limit in one isolate, 100,000 clients', 'decisions/s', [{ what: 'sliding log', rounds }]);
}

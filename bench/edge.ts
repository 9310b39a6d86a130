import { SlidingLog } from '../shared/limits/sliding-log.ts';
import type { SnapshotInstance, SnapshotRateLimit, SnapshotService } from '../shared/snapshot/snapshot.ts';
import { type Gateway, startGateway } from './gateway.ts';
import { type Rig, startBackend, startRig } from './rig.ts';
import { type BenchGoal, type BenchTable, ROUNDS, tableOf } from './table.ts';
import { CONNECTIONS, median, wrk, wrkOrThrow } from './wrk.ts';

/** The edge compared with a pass-through Worker: same workerd, same backend, same run, in alternating rounds. */
export async function benchEdge(): Promise<BenchTable[]> {
  const backend = await startBackend();
  const gateway = await startGateway(backend.url);
  const rig = await startRig(backend.url, { GATEWAY_JWT_KEY: gateway.jwtKey });
  try {
    return [...(await throughput(rig, backend.url, gateway)), isolateLimit()];
  } finally {
    await rig.stop();
    await gateway.stop();
    await backend.stop();
  }
}

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
  figures: EdgeRounds;
}

const DIRECT = 'edge, all features, direct';
const THROUGH_HAPROXY = 'edge, all features, through HAProxy';
const SECONDS = 1;

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

async function throughput(rig: Rig, backend: string, gateway: Gateway): Promise<BenchTable[]> {
  await rig.publish({
    gateways: [gateway.url],
    services: {
      direct: service(backend, { routes: ['/direct'] }),
      gateway: service(backend, { routes: ['/gateway'], path: 'gateway' }),
    },
  });
  // As browsers do, the client returns the affinity cookie of its first answers.
  const cookie = [`cookie: ${await sessionCookie(rig.edgeUrl, ['/direct/x', '/gateway/x'])}`];
  const variants: EdgeVariant[] = [
    variant('pass-through Worker', `${rig.passThroughUrl}/direct/x?y=1`, cookie),
    variant('Worker that rewrites the same header fields', `${rig.rewritingUrl}/direct/x?y=1`, cookie),
    variant(DIRECT, `${rig.edgeUrl}/direct/x?y=1`, cookie),
    variant(THROUGH_HAPROXY, `${rig.edgeUrl}/gateway/x?y=1`, cookie),
    variant(`${THROUGH_HAPROXY}, each request a new client`, `${rig.edgeUrl}/gateway/x?y=1`, []),
  ];
  for (const { url, headers } of variants) await wrk(url, 1, headers);
  for (let round = 0; round < ROUNDS; round++) {
    for (const one of variants) await measureFullLoad(one, rig, gateway);
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
  const table = (title: string, unit: string, of: keyof EdgeRounds, goals: BenchGoal[] = []): BenchTable =>
    tableOf(
      title,
      unit,
      variants.map(({ what, figures }) => ({ what, rounds: figures[of] })),
      goals,
    );
  return [
    table(`Throughput: GET, ${CONNECTIONS} connections`, 'requests/s', 'perSecond', [
      { what: DIRECT, atLeast: 0.8 },
      { what: THROUGH_HAPROXY, atLeast: 0.85 },
    ]),
    table('Processor time of workerd', 'µs per request', 'cpuMicros'),
    table(`p50 at half load, ${rate} requests/s`, 'ms', 'p50'),
    table(`p99 at half load, ${rate} requests/s`, 'ms', 'p99', [
      { what: DIRECT, atMost: 1.2 },
      { what: THROUGH_HAPROXY, atMost: 1.2 },
    ]),
    tableOf(
      'Processor time of HAProxy',
      'µs per request',
      variants
        .filter(({ what }) => what.startsWith(THROUGH_HAPROXY))
        .map(({ what, figures }) => ({ what, rounds: figures.gatewayMicros })),
    ),
  ];
}

const variant = (what: string, url: string, headers: string[]): EdgeVariant => ({
  what,
  url,
  headers,
  figures: { perSecond: [], cpuMicros: [], gatewayMicros: [], p50: [], p99: [] },
});

async function measureFullLoad(
  { url, headers, figures }: EdgeVariant,
  rig: Rig,
  gateway: Gateway,
): Promise<void> {
  const before = { workerd: rig.workerdCpuMicros(), haproxy: gateway.cpuMicros() };
  const { requests, perSecond } = await wrk(url, SECONDS, headers);
  figures.perSecond.push(perSecond);
  figures.cpuMicros.push((rig.workerdCpuMicros() - before.workerd) / requests);
  figures.gatewayMicros.push((gateway.cpuMicros() - before.haproxy) / requests);
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

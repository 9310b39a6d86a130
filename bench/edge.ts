import { SlidingLog } from '../shared/limits/sliding-log.ts';
import type { SnapshotInstance, SnapshotRateLimit, SnapshotService } from '../shared/snapshot/snapshot.ts';
import { type Gateway, startGateway } from './gateway.ts';
import { type Rig, startBackend, startRig } from './rig.ts';
import { type BenchTable, ROUNDS, tableOf } from './table.ts';
import { CONNECTIONS, wrk } from './wrk.ts';

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

interface EdgeBenchRow {
  what: string;
  perSecond: number[];
  cpuMicros: number[];
  p99: number[];
  gatewayMicros: number[];
}

const SECONDS = 2;

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
  const variants: [what: string, url: string, headers: string[]][] = [
    ['pass-through Worker', `${rig.passThroughUrl}/direct/x?y=1`, cookie],
    ['Worker that rewrites the same header fields', `${rig.rewritingUrl}/direct/x?y=1`, cookie],
    ['edge, all features, direct', `${rig.edgeUrl}/direct/x?y=1`, cookie],
    ['edge, all features, through HAProxy', `${rig.edgeUrl}/gateway/x?y=1`, cookie],
    ['edge, all features, through HAProxy, each request a new client', `${rig.edgeUrl}/gateway/x?y=1`, []],
  ];
  const rows: EdgeBenchRow[] = variants.map(([what]) => ({
    what,
    perSecond: [],
    cpuMicros: [],
    p99: [],
    gatewayMicros: [],
  }));
  for (const [, url, headers] of variants) await wrk(url, 1, headers);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [index, [, url, headers]] of variants.entries()) {
      const before = { workerd: rig.workerdCpuMicros(), haproxy: gateway.cpuMicros() };
      const result = await wrk(url, SECONDS, headers);
      if (result.failed > 0) throw new Error(`${url}: ${result.failed} responses were not 2xx`);
      const row = rows[index];
      row?.perSecond.push(result.perSecond);
      row?.cpuMicros.push((rig.workerdCpuMicros() - before.workerd) / result.requests);
      row?.gatewayMicros.push((gateway.cpuMicros() - before.haproxy) / result.requests);
      row?.p99.push(result.p99);
    }
  }
  const table = (title: string, unit: string, of: keyof Omit<EdgeBenchRow, 'what'>): BenchTable =>
    tableOf(
      `${title}: GET, ${CONNECTIONS} connections`,
      unit,
      rows.map((row) => ({ what: row.what, rounds: row[of] })),
    );
  return [
    table('Edge, throughput', 'requests/s', 'perSecond'),
    table('Edge, processor time of workerd', 'µs per request', 'cpuMicros'),
    table('Edge, p99', 'ms', 'p99'),
    table('Edge, processor time of HAProxy', 'µs per request', 'gatewayMicros'),
  ];
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

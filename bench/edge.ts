import { type Candidate, newIsolateState, toCandidate } from '../shared/balance/candidate.ts';
import { buildPool, pickFrom } from '../shared/balance/pool.ts';
import type { Strategy } from '../shared/config/config.ts';
import { hashText } from '../shared/hash.ts';
import { SlidingLog } from '../shared/limits/sliding-log.ts';
import type { SnapshotInstance, SnapshotRateLimit, SnapshotService } from '../shared/snapshot/snapshot.ts';
import { type Gateway, startGateway } from './gateway.ts';
import { type Rig, startBackend, startRig } from './rig.ts';
import { CONNECTIONS, median, wrk } from './wrk.ts';

/** The edge compared with a pass-through Worker: same workerd, same backend, same run, in alternating rounds. */
export async function benchEdge(): Promise<void> {
  const backend = await startBackend();
  const gateway = await startGateway(backend.url);
  const rig = await startRig(backend.url, { GATEWAY_JWT_KEY: gateway.jwtKey });
  try {
    await throughput(rig, backend.url, gateway);
  } finally {
    await rig.stop();
    await gateway.stop();
    await backend.stop();
  }
  picks();
  isolateLimit();
}

interface EdgeBenchRow {
  what: string;
  perSecond: number[];
  cpuMicros: number[];
  p99: number[];
  gatewayMicros: number[];
}

const ROUNDS = 5;
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
      hedge: false,
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

async function throughput(rig: Rig, backend: string, gateway: Gateway): Promise<void> {
  await rig.publish({
    gateways: [gateway.url],
    services: {
      direct: service(backend, { routes: ['/direct'] }),
      gateway: service(backend, { routes: ['/gateway'], path: 'gateway' }),
    },
  });
  const variants: [string, string][] = [
    ['pass-through Worker', `${rig.passThroughUrl}/direct/x?y=1`],
    ['Worker that rewrites the same header fields', `${rig.rewritingUrl}/direct/x?y=1`],
    ['edge, all features, direct', `${rig.edgeUrl}/direct/x?y=1`],
    ['edge, all features, through HAProxy', `${rig.edgeUrl}/gateway/x?y=1`],
  ];
  const rows: EdgeBenchRow[] = variants.map(([what]) => ({
    what,
    perSecond: [],
    cpuMicros: [],
    p99: [],
    gatewayMicros: [],
  }));
  for (const [, url] of variants) await wrk(url, 1);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [index, [, url]] of variants.entries()) {
      const before = { workerd: rig.workerdCpuMicros(), haproxy: gateway.cpuMicros() };
      const result = await wrk(url, SECONDS);
      if (result.failed > 0) throw new Error(`${url}: ${result.failed} responses were not 2xx`);
      const row = rows[index];
      row?.perSecond.push(result.perSecond);
      row?.cpuMicros.push((rig.workerdCpuMicros() - before.workerd) / result.requests);
      row?.gatewayMicros.push((gateway.cpuMicros() - before.haproxy) / result.requests);
      row?.p99.push(result.p99);
    }
  }
  const base = rows[0];
  if (!base) return;
  console.log(`\nEdge: GET, ${CONNECTIONS} connections, median of ${ROUNDS} × ${SECONDS} s`);
  console.table(
    rows.map(({ what, perSecond, cpuMicros, p99, gatewayMicros }) => ({
      what,
      'req/s': Math.round(median(perSecond)),
      'ratio to pass-through': median(roundRatios(perSecond, base.perSecond)).toFixed(2),
      'workerd µs/req': Math.round(median(cpuMicros)),
      'CPU ratio': median(roundRatios(base.cpuMicros, cpuMicros)).toFixed(2),
      'HAProxy µs/req': Math.round(median(gatewayMicros)),
      'p99 ms': median(p99).toFixed(1),
    })),
  );
}

/** Ratios per round, so that other load on the machine affects both sides equally. */
const roundRatios = (above: readonly number[], below: readonly number[]): number[] =>
  above.map((value, round) => value / (below[round] ?? value));

const SIZES = [2, 10, 100, 1_000, 10_000];
const STRATEGIES: Strategy[] = [
  'round_robin',
  'weighted_round_robin',
  'least_connections',
  'least_response_time',
  'consistent_hash',
  'random',
];

function picks(): void {
  console.log('\nNanoseconds per pick, mixed weights, by number of instances');
  const rows = STRATEGIES.map((strategy) => ({
    strategy,
    ...Object.fromEntries(SIZES.map((size) => [size, Math.round(nanosPerPick(strategy, size))])),
  }));
  console.table(rows);
}

function nanosPerPick(strategy: Strategy, size: number): number {
  const candidates: Candidate[] = Array.from({ length: size }, (_, i) =>
    toCandidate(
      {
        id: `instance-${i}`,
        url: 'http://x',
        state: 'up',
        reason: '',
        since: 0,
        weight: 50 + (i % 4) * 50,
        latencyMs: 5 + (i % 9),
      },
      { service: 's', site: 'main', direct: null },
      newIsolateState(),
    ),
  );
  const pool = buildPool(candidates, { strategy, slowStart: 0, mayPanic: true }, { cursor: 0 }, 1);
  const keys = Array.from({ length: 256 }, (_, i) => hashText(`client-${i}`));
  const run = (times: number): number => {
    const before = process.hrtime.bigint();
    for (let i = 0; i < times; i++)
      pickFrom(pool, [], { now: 1, random: Math.random, keyHash: keys[i & 255] ?? 0 });
    return Number(process.hrtime.bigint() - before) / times;
  };
  const times = strategy === 'consistent_hash' ? Math.max(50, Math.round(2e6 / size)) : 200_000;
  run(Math.min(times, 20_000));
  return Math.min(run(times), run(times), run(times));
}

function isolateLimit(): void {
  const limiter = new SlidingLog(20, 10_000);
  const keys = Array.from({ length: 100_000 }, (_, i) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
  const started = performance.now();
  const count = 1_000_000;
  for (let i = 0; i < count; i++)
    limiter.take(keys[i % keys.length] ?? '', 20, 1, 1_700_000_000_000 + i / 100);
  const seconds = (performance.now() - started) / 1000;
  console.log(
    `\nLimit in one isolate, 100,000 clients: ${Math.round(count / seconds / 1000)},000 decisions per second`,
  );
}

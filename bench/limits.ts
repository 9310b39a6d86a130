import type { SnapshotRateLimit } from '../shared/snapshot/snapshot.ts';
import { LIMIT, service } from './edge.ts';
import { type BenchWorker, startBackend, startRig } from './rig.ts';
import { CONNECTIONS, median, wrk } from './wrk.ts';

const WORKER: BenchWorker = {
  entry: 'bench/worker/limits.ts',
  objects: { PER_REQUEST: 'CallPerRequest' },
};
const ROUNDS = 5;
const SECONDS = 2;

/**
 * A global limit by leases, compared with one Durable Object call per request: the same requests through the same edge in
 * the same workerd, in alternating rounds; and the decisions alone. The object of the comparison counts in memory and
 * stores nothing, which is the lowest possible cost.
 */
export async function benchGlobalLimit(): Promise<void> {
  const backend = await startBackend();
  const rig = await startRig(backend.url, {}, { worker: WORKER });
  const leased: SnapshotRateLimit = { ...LIMIT, name: 'leased', key: 'global', scope: 'global', limit: 1e7 };
  try {
    await rig.publish({
      gateways: [],
      services: {
        leases: service(backend.url, { routes: ['/leases'], rateLimits: [leased] }),
        none: service(backend.url, { routes: ['/per-request'], rateLimits: [] }),
      },
    });
    const bare = (path: string, count: number) => async (): Promise<number> => {
      const answer = await fetch(`${rig.edgeUrl}/bare/${path}?count=${count}`);
      const { decisions, ms } = (await answer.json()) as { decisions: number; ms: number };
      return (decisions / ms) * 1000;
    };
    const proxied = (path: string) => async (): Promise<number> => {
      const { perSecond, failed } = await wrk(`${rig.edgeUrl}${path}`, SECONDS);
      if (failed > 0) throw new Error(`${path}: ${failed} responses were not 2xx`);
      return perSecond;
    };
    const rows: [string, () => Promise<number>, () => Promise<number>][] = [
      ['requests through the edge', proxied('/leases'), proxied('/per-request')],
      ['decisions alone', bare('leases', 1_000_000), bare('per-request', 10_000)],
    ];
    console.log(
      `\nGlobal limit, per second, ${CONNECTIONS} at a time; median of ${ROUNDS} alternating rounds`,
    );
    const table = [];
    for (const [what, leases, perRequest] of rows) {
      await leases();
      await perRequest();
      const seen: { leases: number; perRequest: number }[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        seen.push({ leases: await leases(), perRequest: await perRequest() });
      }
      table.push({
        what,
        leases: Math.round(median(seen.map((one) => one.leases))),
        'one call per request': Math.round(median(seen.map((one) => one.perRequest))),
        ratio: median(seen.map((one) => one.leases / one.perRequest)).toFixed(1),
      });
    }
    console.table(table);
  } finally {
    await rig.stop();
    await backend.stop();
  }
}

const CLIENTS = 1_000_000;
const STEP = 125_000;

/** Memory of an isolate with a million clients, each with its own address and cookie. */
export async function benchMillionClients(): Promise<void> {
  const rig = await startRig('http://127.0.0.1:9', {}, { worker: WORKER });
  const pass = async (from: number, count: number): Promise<number> => {
    const answer = await fetch(`${rig.edgeUrl}/clients?from=${from}&count=${count}`);
    return ((await answer.json()) as { ms: number }).ms;
  };
  const mib = (bytes: number): string => (bytes / 1024 / 1024).toFixed(0);
  try {
    await rig.publish({ gateways: [], services: {} });
    const rows = [];
    let ms = 0;
    for (let clients = 0; clients <= CLIENTS; clients += STEP) {
      if (clients > 0) ms += await pass(clients - STEP, STEP);
      rows.push({
        clients: clients.toLocaleString('en'),
        'workerd RSS, MiB': mib(rig.workerdRssBytes()),
      });
    }
    console.log(
      `\nA million clients with a limit, a lease and a cookie each: ${Math.round((CLIENTS / ms) * 1000)} per second`,
    );
    console.table(rows);
  } finally {
    await rig.stop();
  }
}

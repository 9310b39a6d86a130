import type { SnapshotRateLimit } from '../shared/snapshot/snapshot.ts';
import { LIMIT, service } from './edge.ts';
import { type BenchWorker, startBackend, startRig } from './rig.ts';
import { type BenchTable, compareInterleaved, tableOf } from './table.ts';
import { CONNECTIONS, wrk } from './wrk.ts';

const WORKER: BenchWorker = {
  entry: 'bench/worker/limits.ts',
  objects: { PER_REQUEST: 'CallPerRequest' },
};
const SECONDS = 1;

/**
 * A global limit by leases, compared with one Durable Object call per request: the same requests through the same edge in
 * the same workerd, in alternating rounds; and the decisions alone. The object of the comparison counts in memory and
 * stores nothing, which is the lowest possible cost.
 */
export async function benchGlobalLimit(): Promise<BenchTable[]> {
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
    const proxied = (path: string) => async (): Promise<number> =>
      (await wrk(`${rig.edgeUrl}${path}`, SECONDS)).perSecond;
    const rows: [string, () => Promise<number>, () => Promise<number>][] = [
      [`Requests through the edge, ${CONNECTIONS} connections`, proxied('/leases'), proxied('/per-request')],
      [`Decisions alone, ${CONNECTIONS} at a time`, bare('leases', 1_000_000), bare('per-request', 10_000)],
    ];
    const tables: BenchTable[] = [];
    for (const [title, leases, perRequest] of rows) {
      await leases();
      await perRequest();
      tables.push(
        await compareInterleaved(title, 'per second', { 'one call per request': perRequest, leases }),
      );
    }
    return tables;
  } finally {
    await rig.stop();
    await backend.stop();
  }
}

const CLIENTS = 1_000_000;
const STEP = 250_000;

/** Memory of an isolate with a million clients, each with its own address and cookie. */
export async function benchMillionClients(): Promise<BenchTable[]> {
  const rig = await startRig('http://127.0.0.1:9', {}, { worker: WORKER });
  const pass = async (from: number, count: number): Promise<number> => {
    const answer = await fetch(`${rig.edgeUrl}/clients?from=${from}&count=${count}`);
    return ((await answer.json()) as { ms: number }).ms;
  };
  const mib = (): number => rig.workerdRssBytes() / 2 ** 20;
  try {
    await rig.publish({ gateways: [], services: {} });
    const memory = [{ what: 'no clients', rounds: [mib()] }];
    const perSecond: number[] = [];
    for (let clients = STEP; clients <= CLIENTS; clients += STEP) {
      perSecond.push((STEP / (await pass(clients - STEP, STEP))) * 1_000);
      memory.push({ what: `${clients.toLocaleString('en')} clients`, rounds: [mib()] });
    }
    return [
      tableOf('Memory of workerd', 'MiB', memory),
      tableOf('New clients', 'per second', [
        { what: `steps of ${STEP.toLocaleString('en')}`, rounds: perSecond },
      ]),
    ];
  } finally {
    await rig.stop();
  }
}

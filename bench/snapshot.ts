import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { signSnapshot, verifySnapshot } from '../shared/snapshot/signature.ts';
import type { Snapshot, SnapshotInstance } from '../shared/snapshot/snapshot.ts';
import { buildView, type View } from '../shared/view.ts';
import { service } from './edge.ts';
import { startBackend, startRig } from './rig.ts';
import { type BenchGoal, type BenchTable, ROUNDS, tableOf } from './table.ts';
import { median } from './wrk.ts';

const INSTANCES = 1_000;
const PUTS_PER_ROUND = 40;
/** Half of what a request may use on the free plan. */
const GOAL_MS = 5;
/** Before each round, so that the publisher stays below the edge's limit of 50 PUTs a second. */
const PAUSE_MS = 1_000;

/** A snapshot of 1,000 instances: the processor time until an isolate can route by it. */
export async function benchSnapshot(): Promise<BenchTable[]> {
  return [coldAndWarm('first'), coldAndWarm('later'), await puts()];
}

/** Milliseconds of each step. Run as a program, this file prints them, so that the first call is one of a new process. */
interface Steps {
  parse: number;
  verify: number;
  view: number;
}

function coldAndWarm(which: 'first' | 'later'): BenchTable {
  const rounds = Array.from({ length: ROUNDS }, () => {
    const text = execFileSync(process.execPath, [join(import.meta.dirname, 'snapshot.ts')], {
      encoding: 'utf8',
    });
    return (JSON.parse(text) as { first: Steps; later: Steps })[which];
  });
  const title =
    which === 'first'
      ? `First snapshot of ${INSTANCES} instances in a new process`
      : `Every later snapshot of ${INSTANCES} instances`;
  const rows = [
    { what: 'JSON.parse of the body', rounds: rounds.map(({ parse }) => parse) },
    { what: 'verify and parse', rounds: rounds.map(({ verify }) => verify) },
    { what: 'build the view', rounds: rounds.map(({ view }) => view) },
    { what: 'verify, parse and build', rounds: rounds.map(({ verify, view }) => verify + view) },
  ];
  return tableOf(title, 'ms', rows, [withinGoal('verify, parse and build')]);
}

/** Whole PUTs in workerd, with the request, the Hub and KV. */
async function puts(): Promise<BenchTable> {
  const backend = await startBackend();
  const rig = await startRig(backend.url);
  try {
    const perPut = async (count: number): Promise<number> => {
      await sleep(PAUSE_MS);
      const part = fleetSnapshot(count);
      await rig.publish(part);
      const before = rig.workerdCpuMicros();
      for (let i = 0; i < PUTS_PER_ROUND; i++) await rig.publish(part);
      return (rig.workerdCpuMicros() - before) / PUTS_PER_ROUND / 1_000;
    };
    const small: number[] = [];
    const large: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      small.push(await perPut(7));
      large.push(await perPut(INSTANCES));
    }
    const what = `${INSTANCES} instances`;
    const rows = [
      { what: '7 instances', rounds: small },
      { what, rounds: large },
    ];
    const title = 'PUT of a snapshot to workerd: all threads, with Hub and KV';
    return tableOf(title, 'ms of processor time', rows, [withinGoal(what)]);
  } finally {
    await rig.stop();
    await backend.stop();
  }
}

const withinGoal = (what: string): BenchGoal => ({ what, figure: 'value', atMost: GOAL_MS });

const SERVICES = ['auth', 'ac', 'integrity', 'fv', 'gs', 'pgc', 'ec'];

function fleetSnapshot(count: number): Pick<Snapshot, 'gateways' | 'services'> {
  const entries = SERVICES.map((id, number) => {
    const size = Math.floor((count + SERVICES.length - 1 - number) / SERVICES.length);
    const instances = Array.from(
      { length: size },
      (_, i): SnapshotInstance => ({
        id: `${id}-${i + 1}`,
        url: `http://10.0.${number}.${i}:8000`,
        state: 'up',
        reason: '2 of 2 probes passed',
        weight: 50 + (i % 4) * 50,
        latencyMs: 2.5 + (i % 7),
        inflight: i % 3,
        since: 1_700_000_000_000 + i,
      }),
    );
    return [id, service('http://x', { routes: [`/api/v1/${id}`], instances })] as const;
  });
  return { gateways: ['http://gateway'], services: Object.fromEntries(entries) };
}

async function measureSteps(): Promise<{ first: Steps; later: Steps }> {
  const pair = await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify']);
  if (!('privateKey' in pair)) throw new Error('expected an Ed25519 key pair');
  const snapshot: Snapshot = {
    v: 1,
    site: 'main',
    epoch: 1,
    seq: 1,
    issuedAt: Date.now(),
    ...fleetSnapshot(INSTANCES),
  };
  const sealed = await signSnapshot(snapshot, { kid: 'k', privateKey: pair.privateKey });
  const keys = [{ kid: 'k', site: 'main', publicKey: pair.publicKey }];
  let previous: View | null = null;
  const steps = async (): Promise<Steps> => {
    const verifying = await millis(() => verifySnapshot(sealed, 'main', keys));
    const opened = verifying.result;
    if (!opened.ok) throw new Error(opened.why);
    const options = {
      previous,
      newPickerState: () => ({ cursor: 0 }),
      directOrigin: ({ url }: SnapshotInstance) => url,
    };
    const building = await millis(() => buildView([opened.snapshot], options));
    previous = building.result;
    const body = new TextDecoder().decode(sealed.subarray(sealed.indexOf(10) + 1));
    const parsing = await millis(() => JSON.parse(body) as unknown);
    return { parse: parsing.used, verify: verifying.used, view: building.used };
  };
  const first = await steps();
  const later: Steps[] = [];
  for (let i = 0; i < 41; i++) later.push(await steps());
  const medianOf = (step: keyof Steps): number => median(later.map((one) => one[step]));
  return { first, later: { parse: medianOf('parse'), verify: medianOf('verify'), view: medianOf('view') } };
}

/** Elapsed time: the processor time of a thread has steps of milliseconds on some kernels. */
async function millis<T>(work: () => T | Promise<T>): Promise<{ used: number; result: T }> {
  const before = performance.now();
  const result = await work();
  return { used: performance.now() - before, result };
}

if (import.meta.main) console.log(JSON.stringify(await measureSteps()));

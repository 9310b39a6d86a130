import { setTimeout as sleep } from 'node:timers/promises';
import { type Bed, waitUntilServing } from './bed.ts';
import { type CheckedSample, countEndings, isFailed, runCheckedLoad } from './checked-load.ts';
import type { MatrixFault, Victim } from './matrix-fault.ts';

/** What clients and the system saw of one fault. Times in milliseconds. */
export interface MatrixRow {
  name: string;
  area: string;
  title: string;
  requests: number;
  failed: number;
  /** Of the failed: a client can repeat them without risk. */
  repeatableFailed: number;
  wrong: number;
  /** POSTs without a key that instances received more than once. */
  postsRepeated: number;
  /** Sessions that moved away from a healthy instance. */
  pinsLost: number;
  worstMs: number;
  /** Null: not reported. Undefined: no part of the system can report it. */
  detectMs?: number | null;
  /** From the end of the fault until the last request failed or took more than 500 ms. */
  recoverMs: number;
  /** Broken promises; empty when all was as expected. */
  broken: string[];
  /** Statuses and errors of the failed requests. */
  failures: string;
  reason?: string;
}

const RATE = 40;
const POST_SHARE = 0.3;
const SESSIONS = 20;
const WARM_UP_MS = 1_500;
const AFTER_MS = 3_500;
const DEFAULT_MS = 6_000;
const SLOW_MS = 500;

export async function runFault(fault: MatrixFault, bed: Bed, victim: Victim): Promise<MatrixRow> {
  await waitUntilServing(bed);
  bed.posts.takeRepeated();
  const began = performance.now();
  const load = startLoad(bed);
  await sleep(WARM_UP_MS);
  const startedAt = performance.now() - began;
  const detection = watchDetection(fault, bed, victim);
  let endedAt: number;
  try {
    await fault.start(bed, victim);
    await sleep(fault.forMs ?? DEFAULT_MS);
  } finally {
    await fault.stop(bed, victim);
    endedAt = performance.now() - began;
  }
  await sleep(AFTER_MS);
  const samples = await load.end();
  const row = summarizeFault({ fault, bed, victim, samples, startedAt, endedAt });
  return { ...row, ...(await detection.end()) };
}

/** The load runs until `end` is called, because the time to remove a fault varies. */
function startLoad(bed: Bed): { end(): Promise<CheckedSample[]> } {
  const stopping = new AbortController();
  const running = [...bed.fleets.keys()].map((service) =>
    runCheckedLoad({
      service,
      origin: bed.target,
      rate: RATE,
      postShare: POST_SHARE,
      sessions: SESSIONS,
      durationMs: Number.POSITIVE_INFINITY,
      signal: stopping.signal,
    }),
  );
  return {
    async end() {
      stopping.abort();
      return (await Promise.all(running)).flat();
    },
  };
}

function watchDetection(
  { detected }: MatrixFault,
  bed: Bed,
  victim: Victim,
): { end(): Promise<Pick<MatrixRow, 'detectMs'>> } {
  const startedAt = performance.now();
  let detectMs: number | null = null;
  let watching = detected !== undefined;
  const loop = (async () => {
    while (watching && detectMs === null) {
      if (await detected?.(bed, victim).catch(() => false)) detectMs = performance.now() - startedAt;
      else await sleep(50);
    }
  })();
  return {
    async end() {
      watching = false;
      await loop;
      return detected ? { detectMs } : {};
    },
  };
}

interface FaultRun {
  fault: MatrixFault;
  bed: Bed;
  victim: Victim;
  samples: readonly CheckedSample[];
  startedAt: number;
  endedAt: number;
}

function summarizeFault(run: FaultRun): MatrixRow {
  const { fault, bed, samples, startedAt, endedAt } = run;
  const failed = samples.filter(isFailed);
  const repeatableFailed = failed.filter(({ repeatable }) => repeatable);
  const wrong = samples.filter((one) => one.wrong !== null);
  const struck = struckInstances(run);
  const lost = samples.filter(({ movedFrom }) => movedFrom !== null && !struck(movedFrom));
  const postsRepeated = bed.posts.takeRepeated();
  const hurt = samples.filter((one) => one.startedAt > startedAt && (isFailed(one) || one.ms > SLOW_MS));
  const { repeatable = 0, other = 0, pins = 0 } = fault.allowed ?? {};
  const otherFailed = failed.length - repeatableFailed.length;
  const broken = [
    ...(wrong.length > 0 ? [`${wrong.length} wrong answers: ${wrong[0]?.wrong}`] : []),
    ...(postsRepeated > 0 ? [`${postsRepeated} POSTs executed twice`] : []),
    ...(lost.length > pins ? [`${lost.length} sessions left a healthy instance`] : []),
    ...(repeatableFailed.length > repeatable
      ? [`${repeatableFailed.length} requests failed that can be repeated (allowed: ${repeatable})`]
      : []),
    ...(otherFailed > other ? [`${otherFailed} POSTs failed (allowed: ${other})`] : []),
  ];
  return {
    name: fault.name,
    area: fault.area,
    title: fault.title,
    requests: samples.length,
    failed: failed.length,
    repeatableFailed: repeatableFailed.length,
    wrong: wrong.length,
    postsRepeated,
    pinsLost: lost.length,
    worstMs: samples.reduce((worst, { ms }) => Math.max(worst, ms), 0),
    recoverMs: hurt.reduce((last, one) => Math.max(last, one.startedAt - endedAt), 0),
    broken,
    failures: countEndings(failed),
    ...(fault.reason && { reason: fault.reason }),
  };
}

/** Whether sessions may leave the instance, because the fault strikes it. */
function struckInstances({ fault: { strikes }, bed, victim }: FaultRun): (id: string) => boolean {
  if (strikes === 'victim') return (id) => id === victim.id;
  if (strikes === 'second-site') return (id) => id.includes('-west-');
  const service = strikes === 'victim-service' ? victim.service : '';
  const all = new Set(bed.instances.filter((one) => one.service === service).map(({ id }) => id));
  return (id) => all.has(id);
}

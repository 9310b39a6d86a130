import { setTimeout as sleep } from 'node:timers/promises';
import { type Bed, type BedOptions, instanceStates, startBed } from './bed.ts';
import { type CheckedSample, countEndings, isFailed, isShed, runCheckedLoad } from './checked-load.ts';

/** Two services on instances of a known capacity: `slots` requests at a time, each for `serviceMs`. */
export const SLOTS = 2;
const SERVICE_MS = 250;
export const INSTANCES = 2;
/**
 * Requests a second that one service can answer: 16. Ten times as much takes a third of a processor core of edge and load
 * generator. With a larger capacity, a busy machine of two cores limits the answers before HAProxy does.
 */
export const CAPACITY = (SLOTS * INSTANCES * 1_000) / SERVICE_MS;

export const OVERLOAD_BED: BedOptions = {
  sizes: { red: INSTANCES, blue: INSTANCES },
  settings: { red: { maxconn: SLOTS }, blue: { maxconn: SLOTS } },
};

export interface OverloadRow {
  /** Offered load of the overloaded service, as a multiple of its capacity. */
  factor: number;
  /** Answered requests of the overloaded service a second, as a share of its capacity. */
  goodput: number;
  shed: number;
  otherFailures: number;
  /** How the overloaded service's requests ended. */
  endings: string;
  /** Milliseconds. */
  p50: number;
  p99: number;
  shedP99: number;
  /** The other service, which gets half of its capacity all the time. */
  neighbourFailed: number;
  neighbourRequests: number;
  /** Instances that the agent took out although they were healthy. */
  takenOut: string[];
  /** From the end of the overload to the last request that failed or took more than 550 ms. */
  recoverySeconds: number;
}

export function limitCapacity(bed: Bed): void {
  for (const [, fleet] of bed.fleets) {
    for (let index = 0; index < INSTANCES; index++) {
      fleet.setFault(index, { slots: SLOTS, serviceMs: SERVICE_MS });
    }
  }
}

/** The first seconds of an instance belong to slow start. */
export const SETTLE_MS = 5_000;
const DURATION_MS = 12_000;
export const AFTER_MS = 8_000;
/** A calm request takes SERVICE_MS. */
const LATE_MS = SERVICE_MS + 300;

export async function measureOverload(bed: Bed, factor: number, durationMs: number): Promise<OverloadRow> {
  const origin = bed.target;
  const common = { origin, postShare: 0.25, sessions: 20 };
  const watch = watchInstances(bed);
  const base = { ...common, rate: CAPACITY / 2, durationMs: durationMs + AFTER_MS };
  const neighbour = runCheckedLoad({ ...base, service: 'blue' });
  const overloading = runCheckedLoad({ ...common, service: 'red', rate: CAPACITY * factor, durationMs });
  await sleep(durationMs);
  // The overload has ended, but its last requests are still waiting.
  const recovering = { ...common, service: 'red', rate: CAPACITY / 2, durationMs: AFTER_MS };
  const after = await runCheckedLoad(recovering);
  const [overload, neighbours] = await Promise.all([overloading, neighbour]);
  return summarizeOverload({ factor, durationMs, overload, after, neighbours, takenOut: await watch() });
}

interface OverloadSamples {
  factor: number;
  durationMs: number;
  overload: readonly CheckedSample[];
  after: readonly CheckedSample[];
  neighbours: readonly CheckedSample[];
  takenOut: string[];
}

function summarizeOverload(samples: OverloadSamples): OverloadRow {
  const { factor, durationMs, overload, after, neighbours, takenOut } = samples;
  const answered = overload.filter((one) => !isFailed(one));
  const shed = overload.filter(isShed);
  const within = answered.filter(({ startedAt, ms }) => startedAt + ms <= durationMs);
  return {
    factor,
    goodput: within.length / (durationMs / 1_000) / CAPACITY,
    shed: shed.length,
    otherFailures: overload.length - answered.length - shed.length,
    endings: countEndings(overload),
    p50: quantile(answered, 0.5),
    p99: quantile(answered, 0.99),
    shedP99: quantile(shed, 0.99),
    neighbourFailed: neighbours.filter(isFailed).length,
    neighbourRequests: neighbours.length,
    takenOut,
    recoverySeconds: hurtUntil(after),
  };
}

/** Seconds until the last request that failed or was late. */
export const hurtUntil = (samples: readonly CheckedSample[]): number =>
  Math.max(
    0,
    ...samples.filter((one) => isFailed(one) || one.ms > LATE_MS).map(({ startedAt }) => startedAt),
  ) / 1_000;

export const quantile = (samples: readonly CheckedSample[], share: number): number => {
  const times = samples.map(({ ms }) => ms).sort((a, b) => a - b);
  return times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0;
};

/** Records every instance that is not in service at some moment, until the returned function is called. */
export function watchInstances({ node }: Bed): () => Promise<string[]> {
  const seen = new Set<string>();
  let watching = true;
  const loop = (async () => {
    while (watching) {
      for (const one of await instanceStates(node.api).catch(() => [])) {
        if (one.state === 'down' || one.breaker !== 'closed' || (one.outlier && one.outlier.share < 1))
          seen.add(`${one.id}: ${one.reason || one.state}`);
      }
      await sleep(200);
    }
  })();
  return async () => {
    watching = false;
    await loop;
    return [...seen];
  };
}

export const OVERLOAD_FACTORS = [0.5, 0.9, 1, 1.5, 2, 5, 10];

/** Measures the curve: one bed, one factor after the other. */
export async function measureCurve(onRow: (row: OverloadRow) => void): Promise<OverloadRow[]> {
  const bed = await startBed(OVERLOAD_BED);
  try {
    limitCapacity(bed);
    await sleep(SETTLE_MS);
    const rows: OverloadRow[] = [];
    for (const factor of OVERLOAD_FACTORS) {
      const row = await measureOverload(bed, factor, DURATION_MS);
      onRow(row);
      rows.push(row);
    }
    return rows;
  } finally {
    await bed.stop();
  }
}

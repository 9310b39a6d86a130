import { setTimeout as sleep } from 'node:timers/promises';
import { type Bed, type BedOptions, startBed } from './bed.ts';
import { type CheckedSample, isFailed, isShed, runCheckedLoad } from './checked-load.ts';
import {
  AFTER_MS,
  CAPACITY,
  hurtUntil,
  INSTANCES,
  limitCapacity,
  quantile,
  SETTLE_MS,
  SLOTS,
  watchInstances,
} from './overload.ts';

/** Services that shed load, by class: 9 is rejected first. Each has its own instances of the same capacity. */
const CLASSES: Readonly<Record<string, number>> = { critical: 0, normal: 5, sheddable: 9 };

const shedding = (priorityClass: number) => ({
  maxconn: SLOTS,
  failover: { strategy: 'load_shed', class: priorityClass },
});

const CLASS_BED: BedOptions = {
  sizes: Object.fromEntries(Object.keys(CLASSES).map((name) => [name, INSTANCES])),
  settings: Object.fromEntries(Object.entries(CLASSES).map(([name, value]) => [name, shedding(value)])),
};

/** Offered load of each service as a multiple of its capacity. */
type ClassLoad = Readonly<Record<string, number>>;

const CLASS_LOADS: readonly ClassLoad[] = [
  { critical: 0.5, normal: 0.5, sheddable: 10 },
  { critical: 2, normal: 2, sheddable: 2 },
  { critical: 10, normal: 0.5, sheddable: 0.5 },
];

export interface ClassRow {
  service: string;
  class: number;
  factor: number;
  /** Answered requests as a share of what is possible: the offered ones, or the capacity if it is less. */
  answered: number;
  /** Milliseconds. */
  p99: number;
  /** Rejected with 503 or 429. */
  shed: number;
  shedP99: number;
  otherFailures: number;
  /** From the end of the load to the last request of a calm load that failed or was late. */
  recoverySeconds: number;
  /** Of all services during this load. */
  takenOut: string[];
}

const DURATION_MS = 10_000;

/** One load after the other, all services at the same time. */
export async function measureClasses(onRow: (row: ClassRow) => void): Promise<ClassRow[]> {
  const bed = await startBed(CLASS_BED);
  try {
    limitCapacity(bed);
    await sleep(SETTLE_MS);
    const rows: ClassRow[] = [];
    for (const load of CLASS_LOADS) {
      const measured = await measureClassLoad(bed, load);
      measured.forEach(onRow);
      rows.push(...measured);
    }
    return rows;
  } finally {
    await bed.stop();
  }
}

async function measureClassLoad(bed: Bed, load: ClassLoad): Promise<ClassRow[]> {
  const watch = watchInstances(bed);
  const common = { origin: bed.target, postShare: 0.25, sessions: 20 };
  const overloads = Object.entries(load).map(async ([service, factor]) => ({
    service,
    factor,
    samples: await runCheckedLoad({ ...common, service, rate: CAPACITY * factor, durationMs: DURATION_MS }),
  }));
  await sleep(DURATION_MS);
  const calms = Object.keys(load).map(
    async (service) =>
      [
        service,
        await runCheckedLoad({ ...common, service, rate: CAPACITY / 2, durationMs: AFTER_MS }),
      ] as const,
  );
  const [measured, calm] = await Promise.all([Promise.all(overloads), Promise.all(calms)]);
  const takenOut = await watch();
  const after = new Map(calm);
  return measured.map((one) => summarizeClass({ ...one, after: after.get(one.service) ?? [], takenOut }));
}

interface ClassSamples {
  service: string;
  factor: number;
  samples: readonly CheckedSample[];
  after: readonly CheckedSample[];
  takenOut: string[];
}

function summarizeClass({ service, factor, samples, after, takenOut }: ClassSamples): ClassRow {
  const answered = samples.filter((one) => !isFailed(one));
  const shed = samples.filter(isShed);
  const within = answered.filter(({ startedAt, ms }) => startedAt + ms <= DURATION_MS);
  const capacity = (CAPACITY * DURATION_MS) / 1_000;
  return {
    service,
    class: CLASSES[service] ?? 0,
    factor,
    answered: factor < 1 ? answered.length / samples.length : within.length / capacity,
    p99: quantile(answered, 0.99),
    shed: shed.length,
    shedP99: quantile(shed, 0.99),
    otherFailures: samples.length - answered.length - shed.length,
    recoverySeconds: hurtUntil(after),
    takenOut,
  };
}

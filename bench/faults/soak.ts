import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Bed, instanceStates, startBed } from './bed.ts';
import { type CheckedSample, isFailed, runCheckedLoad } from './checked-load.ts';
import type { MatrixFault } from './matrix-fault.ts';
import { openDescriptorCount } from './processes.ts';
import { runFault } from './run-fault.ts';

/** Memory and descriptors of one program, children included: workerd is a child of the edge. */
export interface ProgramUse {
  mib: number;
  descriptors: number;
}

/** What one minute of the soak showed. */
export interface SoakMinute {
  minute: number;
  fault: string;
  requests: number;
  failed: number;
  /** Failed while no fault was active. */
  calmFailed: number;
  /** Wrong answers and POSTs executed twice. */
  wrong: number;
  /** Instances that left service although no fault struck them. */
  flaps: string[];
  edge: ProgramUse;
  agent: ProgramUse;
  haproxy: ProgramUse;
}

const MINUTE_MS = 60_000;
const CALM_RATE = 40;
const MAX_FAULT_MS = 20_000;

/** Moderate load with a random fault in each minute. */
export async function soak(
  minutes: number,
  catalogue: readonly MatrixFault[],
  onMinute: (minute: SoakMinute) => void,
): Promise<void> {
  const faults = catalogue.filter(({ bed = 'plain', forMs = 0 }) => bed === 'plain' && forMs <= MAX_FAULT_MS);
  const bed = await startBed();
  try {
    await sleep(5_000);
    for (let minute = 0; minute < minutes; minute++) {
      const fault = faults[Math.floor(Math.random() * faults.length)];
      if (fault) onMinute(await soakMinute(bed, fault, minute));
    }
  } finally {
    await bed.stop();
  }
}

async function soakMinute(bed: Bed, fault: MatrixFault, minute: number): Promise<SoakMinute> {
  const endsAt = performance.now() + MINUTE_MS;
  const victim = bed.instances[minute % bed.instances.length];
  if (!victim) throw new Error('the bed has no instances');
  const struck = fault.strikes === 'victim-service' ? victim.service : victim.id;
  const flapping = watchFlaps(bed, fault.strikes ? struck : null);
  const row = await runFault(fault, bed, victim);
  const calm = await calmLoad(bed, Math.max(5_000, endsAt - performance.now()));
  const wrong = calm.filter((sample) => sample.wrong !== null).length;
  return {
    minute,
    fault: fault.name,
    requests: row.requests + calm.length,
    failed: row.failed,
    calmFailed: calm.filter(isFailed).length,
    wrong: row.wrong + row.postsRepeated + wrong,
    flaps: await flapping(),
    edge: useOf(bed.edgePid()),
    agent: useOf(bed.node.agent.pid),
    haproxy: useOf(bed.node.haproxy.pid),
  };
}

async function calmLoad(bed: Bed, durationMs: number): Promise<CheckedSample[]> {
  const loads = [...bed.fleets.keys()].map((service) =>
    runCheckedLoad({
      service,
      origin: bed.target,
      rate: CALM_RATE,
      postShare: 0.3,
      sessions: 20,
      durationMs,
    }),
  );
  return (await Promise.all(loads)).flat();
}

/** Records instances that leave service although they are healthy. `struck`: an instance or a service to leave out. */
function watchFlaps({ node }: Bed, struck: string | null): () => Promise<string[]> {
  const serving = new Map<string, boolean>();
  const flaps: string[] = [];
  let watching = true;
  const look = async (): Promise<void> => {
    for (const { id, service, state, reason } of await instanceStates(node.api).catch(() => [])) {
      if (id === struck || service === struck) continue;
      const serves = state !== 'down';
      if (serving.get(id) === true && !serves) flaps.push(`${id}: ${reason}`);
      serving.set(id, serves);
    }
  };
  const loop = (async () => {
    while (watching) {
      await look();
      await sleep(250);
    }
  })();
  return async () => {
    watching = false;
    await loop;
    return flaps;
  };
}

function useOf(pid: number): ProgramUse {
  const own = {
    mib: Number(/VmRSS:\s+(\d+) kB/.exec(readOrEmpty(`/proc/${pid}/status`))?.[1] ?? 0) / 1_024,
    descriptors: descriptorsOf(pid),
  };
  const children = childrenOf(pid).map(useOf);
  return children.reduce(
    (sum, child) => ({ mib: sum.mib + child.mib, descriptors: sum.descriptors + child.descriptors }),
    own,
  );
}

function descriptorsOf(pid: number): number {
  try {
    return openDescriptorCount(pid);
  } catch {
    return 0;
  }
}

function childrenOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
      readOrEmpty(`/proc/${pid}/task/${task}/children`).trim().split(' ').filter(Boolean).map(Number),
    );
  } catch {
    return [];
  }
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

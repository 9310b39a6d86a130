import type { SimulatedInstance } from './instance.ts';
import { newTally, Simulation, type SimulationOptions, type Tally, WARM_UP_MS } from './simulation.ts';

/** The faults of one instance in the table of docs/comparison.md, and what became of the clients. */

export interface Fault {
  readonly name: string;
  readonly begin: (instance: SimulatedInstance) => void;
  readonly end: (instance: SimulatedInstance) => void;
}

const heal = (instance: SimulatedInstance): void => instance.heal();
const fault = (name: string, faults: Partial<SimulatedInstance['faults']>): Fault => ({
  name,
  begin: (instance) => void Object.assign(instance.faults, faults),
  end: heal,
});

export const FAULTS = {
  hung: { name: 'hung', begin: (instance) => instance.hang(), end: (instance) => instance.resume() },
  slow: fault('800 ms slower', { extraMs: 800 }),
  stall: fault('10 % stall for 12 s', { stallShare: 0.1, stallMs: 12_000 }),
  reset: fault('resets 30 %', { resetShare: 0.3 }),
  errors: fault('50 % answer 500', { errorShare: 0.5 }),
  kill: { name: 'kill -9', begin: (instance) => instance.kill(), end: (instance) => instance.restart() },
} as const satisfies Record<string, Fault>;

export interface FaultResult {
  readonly tally: Tally;
  /** Milliseconds from the fault until it was down; null: never. */
  readonly outAfter: number | null;
  /** Milliseconds from the fault until its share reached the floor, or it was down; null: never. */
  readonly floorAfter: number | null;
  /** Milliseconds from the fault until the last client was hurt. */
  readonly lastHurtAfter: number | null;
  /** Instances other than the faulty one that were outliers or went down. */
  readonly wronged: readonly string[];
}

const FAULT_MS = 15_000;
/** Until every request of the fault has ended. */
const AFTER_MS = 12_000;

/** One instance has the fault for 15 s. */
export function runFault(fault: Fault, options: SimulationOptions): FaultResult {
  const simulation = new Simulation(options);
  const instance = simulation.instance(0);
  simulation.clock.after(WARM_UP_MS, () => fault.begin(instance));
  simulation.clock.after(WARM_UP_MS + FAULT_MS, () => fault.end(instance));
  simulation.runUntil(WARM_UP_MS);
  const tally = startTally(simulation);
  simulation.runUntil(WARM_UP_MS + FAULT_MS + AFTER_MS);
  const { changes } = simulation.agent;
  const later = changes.filter(({ trueAt }) => trueAt >= WARM_UP_MS);
  const since = (at: number | null | undefined): number | null => (at == null ? null : at - WARM_UP_MS);
  const own = later.filter((change) => change.instance === instance.id);
  const isOut = ({ kind, to }: (typeof later)[number]): boolean => kind === 'state' && to === 'down';
  const isFloor = ({ kind, to }: (typeof later)[number]): boolean =>
    kind === 'outlier' && (to === '5 %' || to === '0 %');
  return {
    tally,
    outAfter: since(own.find(isOut)?.trueAt),
    floorAfter: since(own.find((change) => isOut(change) || isFloor(change))?.trueAt),
    lastHurtAfter: since(tally.lastHurtAt),
    wronged: wronged(later.filter((change) => change.instance !== instance.id)),
  };
}

export function startTally(simulation: Simulation): Tally {
  simulation.tally = newTally();
  return simulation.tally;
}

/** Instances that lost traffic. */
export const wronged = (
  changes: readonly { kind: string; to?: string; instance: string; reason: string }[],
): string[] =>
  changes
    .filter(({ kind, to }) => (kind === 'outlier' && to !== '100 %') || (kind === 'state' && to === 'down'))
    .map(({ instance, reason }) => `${instance}: ${reason}`);

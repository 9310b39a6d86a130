import type { InstanceFault } from '../compare/instance.ts';
import { type Bed, type BedInstance, instanceStates } from './bed.ts';

/** The instance that a fault strikes. */
export type Victim = BedInstance;

/** One row of the matrix. */
export interface MatrixFault {
  readonly name: string;
  /** Which part of the system it strikes. */
  readonly area: string;
  readonly title: string;
  /** Faults with the same bed run one after another in one bed. Default: the plain one. */
  readonly bed?: BedKind;
  /** How long it lasts. Default 6 s. */
  readonly forMs?: number;
  /** The fault strikes instances, so sessions may move away from them. */
  readonly strikes?: 'victim' | 'victim-service' | 'second-site';
  start(bed: Bed, victim: Victim): Promise<void> | void;
  stop(bed: Bed, victim: Victim): Promise<void> | void;
  /** True while the system reports the fault. Absent: no part of it can. */
  detected?(bed: Bed, victim: Victim): Promise<boolean>;
  /**
   * Requests that may fail: those that a client can repeat without risk, and all others. `pins`: answers that may come
   * from another instance than the session's. Default: none.
   */
  readonly allowed?: { repeatable?: number; other?: number; pins?: number };
  /** Why requests may fail. */
  readonly reason?: string;
}

export type BedKind = 'plain' | 'faulty-host' | 'two-agents' | 'faketime' | 'two-sites';

/** The agent reports that the victim is out or gets less traffic. */
export async function victimReported({ node }: Bed, { id }: Victim): Promise<boolean> {
  const one = (await instanceStates(node.api)).find((instance) => instance.id === id);
  if (!one) return false;
  return one.state === 'down' || one.breaker !== 'closed' || (one.outlier?.share ?? 1) < 1;
}

/** The agent reports that this sink fails. */
export const sinkReported =
  (sink: 'haproxy' | 'redis' | 'postgres' | 'snapshot') =>
  async ({ node }: Bed): Promise<boolean> => {
    const response = await fetch(`${node.api}/v1/status`, { signal: AbortSignal.timeout(1_000) });
    const { sinks } = (await response.json()) as { sinks: Record<string, { state: string }> };
    return sinks[sink] !== undefined && sinks[sink].state !== 'ok';
  };

/** A fault inside the process of the victim. */
export const insideVictim = (
  name: string,
  title: string,
  fault: InstanceFault,
  more: Partial<MatrixFault> = {},
): MatrixFault => ({
  name,
  area: 'instance',
  title,
  strikes: 'victim',
  start: (bed, { service, index }) => bed.fleet(service).setFault(index, fault),
  stop: (bed, { service, index }) => bed.fleet(service).setFault(index, {}),
  detected: victimReported,
  ...more,
});

/** Kills the victim. Faults of other parts use it too: the system must still notice. */
export const killVictim = (bed: Bed, { service, index }: Victim): void =>
  bed.fleet(service).signal(index, 'SIGKILL');

export const restartVictim = (bed: Bed, { service, index }: Victim): Promise<void> =>
  bed.fleet(service).restart(index);

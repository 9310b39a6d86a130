import { type Ejection, isEjected, newEjection, type ServingCount } from '../ejection.ts';
import { hashText } from '../hash.ts';
import { type LatencyEstimate, newLatencyEstimate } from '../latency.ts';
import { isServingState } from '../serving.ts';
import type { BreakerState, InstanceState, SnapshotInstance } from '../snapshot/snapshot.ts';

/** What one isolate has measured about an instance. Kept when the snapshot changes. */
export interface IsolateState {
  /** Requests in flight. */
  pending: number;
  latency: LatencyEstimate;
  ejection: Ejection;
}

export const newIsolateState = (): IsolateState => ({
  pending: 0,
  latency: newLatencyEstimate(),
  ejection: newEjection(),
});

/** An instance as the pickers see it: its snapshot entry with defaults filled in, and the state of the isolate. */
export interface Candidate {
  readonly id: string;
  /** Unique within the service: the id, or `<id>@<site>` when another site has the same id. */
  readonly key: string;
  readonly service: string;
  readonly site: string;
  /** Origin for requests without a gateway; null when there is none. */
  readonly direct: string | null;
  readonly state: InstanceState;
  readonly reason: string;
  readonly breaker: BreakerState;
  readonly weight: number;
  /** 0–1: what an outlier keeps of its weight. */
  readonly share: number;
  readonly priority: number;
  readonly since: number;
  readonly servingSince: number;
  readonly admin: 'ready' | 'drain' | 'maint';
  readonly latencyMs: number | undefined;
  readonly hash: number;
  readonly local: IsolateState;
}

export function toCandidate(
  instance: SnapshotInstance,
  place: { service: string; site: string; direct: string | null; key?: string },
  local: IsolateState,
): Candidate {
  const key = place.key ?? instance.id;
  return {
    id: instance.id,
    service: place.service,
    site: place.site,
    direct: place.direct,
    key,
    state: instance.state,
    reason: instance.reason,
    breaker: instance.breaker ?? 'closed',
    weight: instance.weight ?? 100,
    share: instance.share ?? 1,
    priority: instance.priority ?? 1,
    since: instance.since,
    servingSince: instance.servingSince ?? instance.since,
    admin: instance.admin ?? (instance.state === 'draining' ? 'drain' : 'ready'),
    latencyMs: instance.latencyMs,
    hash: hashText(key),
    local,
  };
}

/** Whether new sessions may start on the instance. */
export const isServing = ({ state }: Candidate): boolean => isServingState(state);

/**
 * Counts for the decision to eject `failed`. Instances that the snapshot or an operator has taken out are not counted.
 */
export function countServing(candidates: readonly Candidate[], failed: Candidate, now: number): ServingCount {
  const serving = candidates.filter((one) => isServing(one) && one.admin === 'ready');
  return {
    serving: serving.length,
    ejected: serving.filter(({ local }) => isEjected(local.ejection, now)).length,
    includesInstance: serving.includes(failed),
  };
}

import { type Ejection, newEjection } from '../ejection.ts';
import { hashText } from '../hash.ts';
import { type LatencyEstimate, newLatencyEstimate } from '../latency.ts';
import type { BreakerState, InstanceState, SnapshotInstance } from '../snapshot/snapshot.ts';

/** What one isolate itself knows of an instance. Outlives snapshots. */
export interface IsolateState {
  /** Requests sent and not yet answered. */
  pending: number;
  latency: LatencyEstimate;
  ejection: Ejection;
}

export const newIsolateState = (): IsolateState => ({
  pending: 0,
  latency: newLatencyEstimate(),
  ejection: newEjection(),
});

/** An instance as picking sees it: the snapshot's line, unpacked once per snapshot, beside the isolate's own view. */
export interface Candidate {
  readonly id: string;
  /** Its name within the service: the id, but for an instance whose id another site has as well. */
  readonly key: string;
  readonly service: string;
  readonly site: string;
  /** Origin to reach it at without a gateway; null where it has none the edge could use. */
  readonly direct: string | null;
  readonly state: InstanceState;
  readonly reason: string;
  readonly breaker: BreakerState;
  readonly weight: number;
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
    ...place,
    key,
    state: instance.state,
    reason: instance.reason,
    breaker: instance.breaker ?? 'closed',
    weight: instance.weight ?? 100,
    priority: instance.priority ?? 1,
    since: instance.since,
    servingSince: instance.servingSince ?? instance.since,
    admin: instance.admin ?? (instance.state === 'draining' ? 'drain' : 'ready'),
    latencyMs: instance.latencyMs,
    hash: hashText(key),
    local,
  };
}

/** Whether new sessions may start on it. */
export const isServing = (candidate: Candidate): boolean =>
  candidate.state === 'up' || candidate.state === 'probation';

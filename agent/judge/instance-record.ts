import { type Breaker, closedBreaker } from '../../shared/breaker.ts';
import type { InstanceSource, StepResult } from '../core/judge-event.ts';
import type { Instance } from '../core/state.ts';
import { type Flap, noFlaps } from './flap.ts';
import { type HealthCounter, newHealthCounter } from './health-counter.ts';
import { type EvidenceWindow, NO_EVIDENCE } from './outlier/evidence.ts';
import { normalOutlier, type Outlier } from './outlier/outlier.ts';
import { NO_PROGRESS, type Progress, type Suspicion } from './suspicion.ts';

/** Everything the judge knows about one instance: its public state and the inputs of the decision. Immutable. */
export interface InstanceRecord {
  /** From the file or the registration. An operator's weight or admin state is in `instance` only. */
  readonly source: InstanceSource;
  readonly instance: Instance;
  readonly tally: HealthCounter;
  readonly breaker: Breaker;
  readonly flap: Flap;
  /** When its probes last passed; the slow start begins here. Null: not passed, or no slow start needed. */
  readonly provedAt: number | null;
  /** Known since the agent's start: it probably served before, so it becomes `up` without a slow start. */
  readonly known: boolean;
  /** When traffic last measured the latency; without traffic, probes measure it. */
  readonly measuredAt: number;
  /** Traffic of the last seconds, to compare the instance with its peers. */
  readonly evidence: EvidenceWindow;
  readonly outlier: Outlier;
  /** When it was last compared, epoch ms. */
  readonly comparedAt: number;
  readonly progress: Progress;
  /** Requests are stuck: probe it now. */
  readonly stuck: boolean;
  /** Null: nothing suggests a hang. */
  readonly suspicion: Suspicion | null;
  /** Response times of the last passed probes in milliseconds, without connecting; newest last. */
  readonly probeTimes: readonly number[];
}

export const emptyResult = (): StepResult<InstanceRecord> => ({ records: [], removed: [], changes: [] });

export function newRecord(source: InstanceSource, known: boolean, now: number): InstanceRecord {
  const { id, service, url, publicUrl, origin, weight, priority, maxconn, metadata, ttl } = source;
  const tally = newHealthCounter(now);
  const instance: Instance = {
    id,
    service,
    url,
    ...(publicUrl === undefined ? {} : { publicUrl }),
    origin,
    ...(source.source === undefined ? {} : { source: source.source }),
    state: 'down',
    reason: tally.because,
    since: now,
    health: 'unknown',
    breaker: 'closed',
    admin: 'ready',
    weight,
    priority,
    ...(maxconn === undefined ? {} : { maxconn }),
    latencyMs: null,
    inflight: 0,
    queued: 0,
    ...(ttl === undefined ? {} : { expiresAt: now + ttl }),
    metadata,
  };
  return {
    source,
    instance,
    tally,
    breaker: closedBreaker(),
    flap: noFlaps,
    provedAt: null,
    known,
    measuredAt: 0,
    probeTimes: [],
    ...newTrafficState(now),
  };
}

/** The evidence from traffic. It is not saved: a restarted agent waits for new evidence. */
export const newTrafficState = (
  now: number,
): Pick<InstanceRecord, 'evidence' | 'outlier' | 'comparedAt' | 'progress' | 'stuck' | 'suspicion'> => ({
  evidence: NO_EVIDENCE,
  outlier: normalOutlier(now),
  comparedAt: now,
  progress: NO_PROGRESS,
  stuck: false,
  suspicion: null,
});

/**
 * Replaces the source of an instance. Its state stays, unless the address changed: then it starts as a new instance. An
 * operator's admin state stays; an operator's weight stays until the weight of the source changes. A registration that
 * is now in the file no longer expires.
 */
export function withSource(record: InstanceRecord, source: InstanceSource, now: number): InstanceRecord {
  const { admin, drainDeadline, expiresAt, ...before } = record.instance;
  const { publicUrl: _, maxconn: __, source: ___, ...rest } = before;
  const weight = record.source.weight === source.weight ? rest.weight : source.weight;
  const operatorSettings = { admin, weight, ...(drainDeadline === undefined ? {} : { drainDeadline }) };
  if (record.source.url !== source.url) {
    const fresh = newRecord(source, false, now);
    return { ...fresh, instance: { ...fresh.instance, ...operatorSettings } };
  }
  const instance: Instance = {
    ...rest,
    ...operatorSettings,
    origin: source.origin,
    ...(source.source === undefined ? {} : { source: source.source }),
    priority: source.priority,
    metadata: source.metadata,
    ...(source.publicUrl === undefined ? {} : { publicUrl: source.publicUrl }),
    ...(source.maxconn === undefined ? {} : { maxconn: source.maxconn }),
    ...(source.ttl === undefined ? {} : { expiresAt: expiresAt ?? now + source.ttl }),
  };
  return { ...record, source, instance };
}

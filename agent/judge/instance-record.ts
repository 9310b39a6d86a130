import { type Breaker, closedBreaker } from '../../shared/breaker.ts';
import type { InstanceConfig, ServiceConfig } from '../../shared/config/config.ts';
import type { Change, Instance } from '../core/state.ts';
import { type Flap, noFlaps } from './flap.ts';
import { type HealthCounter, newHealthCounter } from './health-counter.ts';

/** All that is known of one instance: what the world sees, and what the judgement is made of. Replaced, never mutated. */
export interface InstanceRecord {
  /** As the file or the registration has it; `instance` may differ by what an operator asked for since. */
  readonly source: InstanceSource;
  readonly instance: Instance;
  readonly tally: HealthCounter;
  readonly breaker: Breaker;
  readonly flap: Flap;
  /** When it was last proved fit for traffic: slow start counts from here. Null: not proved, or no slow start. */
  readonly provedAt: number | null;
  /** Known since the agent's start: its first proof needs no slow start, since it most likely served before. */
  readonly known: boolean;
  /** When traffic last told a latency; probes speak for it only where no traffic does. */
  readonly measuredAt: number;
  /** Of the last passed probes, milliseconds without connecting, newest last. */
  readonly probeTimes: readonly number[];
}

export type ServicePolicies = Readonly<{ [service: string]: ServiceConfig }>;

/** What a judgement says: records that took the place of their predecessors, keys that are gone, and the news. */
export interface StepResult {
  records: InstanceRecord[];
  removed: string[];
  changes: Change[];
}

export const emptyResult = (): StepResult => ({ records: [], removed: [], changes: [] });

export interface InstanceSource extends InstanceConfig {
  service: string;
  origin: 'file' | 'api';
  /** Milliseconds between heartbeats, at most. */
  ttl?: number;
}

export function newRecord(source: InstanceSource, known: boolean, now: number): InstanceRecord {
  const { id, service, url, publicUrl, origin, weight, priority, maxconn, metadata, ttl } = source;
  const tally = newHealthCounter(now);
  const instance: Instance = {
    id,
    service,
    url,
    ...(publicUrl === undefined ? {} : { publicUrl }),
    origin,
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
  };
}

/**
 * The same instance under a changed source: where traffic goes is kept, unless its address changed, which makes it a
 * stranger. What an operator asked for holds in any case, a weight until the source's own weight changes. A
 * registration that has come into the file no longer runs out.
 */
export function withSource(record: InstanceRecord, source: InstanceSource, now: number): InstanceRecord {
  const { admin, drainDeadline, expiresAt, publicUrl: _, maxconn: __, ...rest } = record.instance;
  const weight = record.source.weight === source.weight ? rest.weight : source.weight;
  const asked = { admin, weight, ...(drainDeadline === undefined ? {} : { drainDeadline }) };
  if (record.source.url !== source.url) {
    const stranger = newRecord(source, false, now);
    return { ...stranger, instance: { ...stranger.instance, ...asked } };
  }
  const instance: Instance = {
    ...rest,
    ...asked,
    origin: source.origin,
    priority: source.priority,
    metadata: source.metadata,
    ...(source.publicUrl === undefined ? {} : { publicUrl: source.publicUrl }),
    ...(source.maxconn === undefined ? {} : { maxconn: source.maxconn }),
    ...(source.ttl === undefined ? {} : { expiresAt: expiresAt ?? now + source.ttl }),
  };
  return { ...record, source, instance };
}

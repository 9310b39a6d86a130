import type { InstanceConfig } from '../../shared/config/config.ts';
import type { Sketch } from '../../shared/sketch.ts';
import type { BreakerState, InstanceState } from '../../shared/snapshot/snapshot.ts';

/** The types that all parts of the agent share: evidence comes in, the judge decides, changes go out. */

export type Health = 'unknown' | 'up' | 'down';
/** In the configuration file, registered through the API, or listed by the source of its service. */
export const INSTANCE_ORIGINS = ['file', 'api', 'discovered'] as const;
export type InstanceOrigin = (typeof INSTANCE_ORIGINS)[number];
export type AdminState = 'ready' | 'drain' | 'maint';

/** One observation of an instance. Times are epoch milliseconds. */
export type Evidence = ProbeResult | TrafficDelta;

export interface ProbeResult {
  kind: 'probe';
  service: string;
  instance: string;
  at: number;
  ok: boolean;
  /** Duration of the whole probe; `timing` holds its phases, as far as the protocol has them. */
  latencyMs: number;
  timing?: { connectMs?: number; tlsMs?: number; firstByteMs?: number };
  /** Why the probe failed: "connect refused 127.0.0.1:8004", "status 503, expected 200". */
  error?: string;
  /** The probe has waited far longer than usual and goes on waiting. Several of these prove a hang. */
  early?: boolean;
  /** The agent's host could not make the probe (no file descriptor, no memory), so it proves nothing. */
  blind?: boolean;
}

/** Responses by status class. */
export interface StatusCounts {
  '2xx': number;
  '3xx': number;
  '4xx': number;
  '5xx': number;
}

/** Gauges of one instance at the time of the delta. The limits are those of all HAProxies together; 0: no limit. */
export interface TrafficGauges {
  inflight?: number;
  queued?: number;
  inflightLimit?: number;
  longLived?: number;
  longLivedLimit?: number;
}

/** Real traffic of one instance since the last delta from the same source. */
export interface TrafficDelta extends TrafficGauges {
  kind: 'traffic';
  source: 'haproxy' | 'edge';
  service: string;
  instance: string;
  at: number;
  success: number;
  /** Without an answer, or with a 5xx answer. */
  failure: number;
  /** Of those, the ones without a complete answer: refused, reset, closed, truncated. */
  broken?: number;
  /** Attempts that the client gave up before the answer began; not among the failures. */
  abandoned?: number;
  /** Attempts that waited for seconds: for the answer, or for the rest of its body. */
  stopped?: number;
  /** The responses, if the source knows their statuses. */
  statuses?: StatusCounts;
  /** Calls slower than the service's `breaker.slowCall`. */
  slow: number;
  /** Latencies of single requests in milliseconds, if the source has them. */
  latency?: Sketch;
}

/** How an instance does worse than its peers. */
export interface OutlierStatus {
  cause: 'broken' | 'failing' | 'stalling' | 'slow';
  /** In numbers, for people: "p50 812 ms, peers 5 ms". */
  evidence: string;
  /** Share of its weight that it keeps, 0–1. 0: out of service. */
  share: number;
  since: number;
}

/** The public state of an instance. The API, snapshot, Redis, HAProxy, and dashboard all read it. */
export interface Instance {
  id: string;
  service: string;
  url: string;
  publicUrl?: string;
  origin: InstanceOrigin;
  /** The source that lists it, such as "dns web.internal"; only with origin `discovered`. */
  source?: string;
  state: InstanceState;
  reason: string;
  since: number;
  /** When the instance last left `down`. A drain or the end of a slow start does not change it. Absent: never. */
  servingSince?: number;
  health: Health;
  breaker: BreakerState;
  admin: AdminState;
  /** When a drain becomes `maint`; absent: never. */
  drainDeadline?: number;
  weight: number;
  /** Absent: it does as well as its peers. */
  outlier?: OutlierStatus;
  /** Share of the weight (0–1) for `least_response_time` at a gateway. Absent: 1, as fast as its peers. */
  latencyShare?: number;
  priority: number;
  maxconn?: number;
  latencyMs: number | null;
  inflight: number;
  queued: number;
  /** The most requests that HAProxy sends to it at a time. Absent: HAProxy was not polled yet. */
  inflightLimit?: number;
  /** Open WebSockets, event streams and held answers. They are not in flight. */
  longLived?: number;
  longLivedLimit?: number;
  lastProbe?: ProbeResult;
  /** When the registration expires without a heartbeat; absent: never. */
  expiresAt?: number;
  metadata: Record<string, string>;
}

/** One difference in an instance or in the configuration, for the sinks, the event log, and people. */
export interface Change {
  at: number;
  service: string;
  instance: string;
  /**
   * `config`: `instance` is empty, and so is `service` when the change concerns the whole site.
   * `rollout`: a step of a deployment.
   * `discovery`: the source of a service fails, recovers, or lists something that is refused.
   */
  kind:
    | 'state'
    | 'health'
    | 'breaker'
    | 'outlier'
    | 'admin'
    | 'weight'
    | 'registered'
    | 'deregistered'
    | 'config'
    | 'rollout'
    | 'discovery';
  from?: string;
  to?: string;
  reason: string;
  /** Who requested it: "api", "cli", or an operator's name. Absent when the agent acted by itself. */
  by?: string;
}

export interface Registration extends Omit<InstanceConfig, 'metadata'> {
  service: string;
  /** The source that lists it; absent: registered through the API. */
  source?: string;
  ttl?: number;
  metadata?: Record<string, string>;
}

/** The keys by service and instance. A new string for every use would be kept by every map that has it as a key. */
const keys = new Map<string, Map<string, string>>();
const MAX_KEYS = 50_000;
let keyCount = 0;

/** `service/instance`; '' stands for the service as a whole, or the whole site. */
export function instanceKey(service: string, instance: string): string {
  const known = keys.get(service)?.get(instance);
  if (known !== undefined) return known;
  if (keyCount >= MAX_KEYS) {
    keys.clear();
    keyCount = 0;
  }
  // Unlike the sum of strings, `join` makes a string in one piece.
  const key = [service, instance].join('/');
  const ofService = keys.get(service) ?? new Map<string, string>();
  keys.set(service, ofService.set(instance, key));
  keyCount++;
  return key;
}

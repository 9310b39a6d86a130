import type { InstanceConfig } from '../../shared/config/config.ts';
import type { Sketch } from '../../shared/sketch.ts';
import type { BreakerState, InstanceState } from '../../shared/snapshot/snapshot.ts';

/** The agent's own words: evidence comes in, `step` judges it, changes go out. */

export type Health = 'unknown' | 'up' | 'down';
export type AdminState = 'ready' | 'drain' | 'maint';

/** One observation. Instants are epoch milliseconds. */
export type Evidence = ProbeResult | TrafficDelta;

export interface ProbeResult {
  kind: 'probe';
  service: string;
  instance: string;
  at: number;
  ok: boolean;
  /** Whole probe; `timing` splits it where the protocol lets us. */
  latencyMs: number;
  timing?: { connectMs?: number; tlsMs?: number; firstByteMs?: number };
  /** What went wrong, for a person: "connect refused 127.0.0.1:8004", "status 503, expected 200". */
  error?: string;
  /** The probe could not be made, for want of something of our own: it proves nothing. */
  blind?: boolean;
}

/** What real traffic did to one instance since the last delta from the same source. */
export interface TrafficDelta {
  kind: 'traffic';
  source: 'haproxy' | 'edge';
  service: string;
  instance: string;
  at: number;
  success: number;
  failure: number;
  /** Calls slower than the service's `slowCall`. */
  slow: number;
  /** Latencies of individual requests where the source has them, milliseconds. */
  latency?: Sketch;
  /** Gauges at `at`. */
  inflight?: number;
  queued?: number;
}

/** An instance as the rest of the world sees it: API, snapshot, Redis, HAProxy and dashboard all read this. */
export interface Instance {
  id: string;
  service: string;
  url: string;
  publicUrl?: string;
  /** From the file, or registered at run time. */
  origin: 'file' | 'api';
  state: InstanceState;
  reason: string;
  since: number;
  /** When it last began to take traffic; a drain or the end of a slow start does not move it. Absent: never did. */
  servingSince?: number;
  health: Health;
  breaker: BreakerState;
  admin: AdminState;
  /** When a drain becomes maint; absent: never. */
  drainDeadline?: number;
  weight: number;
  priority: number;
  maxconn?: number;
  latencyMs: number | null;
  inflight: number;
  queued: number;
  lastProbe?: ProbeResult;
  /** Expiry of a registration with a TTL. */
  expiresAt?: number;
  metadata: Record<string, string>;
}

/** Something that happened to an instance and that sinks, events and people care about. */
export interface Change {
  at: number;
  service: string;
  instance: string;
  kind: 'state' | 'health' | 'breaker' | 'admin' | 'weight' | 'registered' | 'deregistered';
  from?: string;
  to?: string;
  reason: string;
  /** Who asked for it, where someone did: "api", "cli", an operator's name. */
  by?: string;
}

export interface Registration extends Omit<InstanceConfig, 'metadata'> {
  service: string;
  ttl?: number;
  metadata?: Record<string, string>;
}

export const instanceKey = (service: string, instance: string): string => `${service}/${instance}`;

/**
 * The snapshot: the one document agent and edge agree on. The agent writes it, the edge routes from it and needs
 * nothing else. Times are milliseconds; instants are epoch milliseconds. What is at its default is left out, so that
 * 1,000 instances stay under 256 KiB.
 */

export type BreakerState = 'closed' | 'open' | 'half_open';
/** What traffic obeys. Operator beats breaker beats health. */
export type InstanceState = 'up' | 'probation' | 'draining' | 'down';

export interface SnapshotInstance {
  id: string;
  url: string;
  /** Where the edge reaches it directly; `url` when absent (the local stack). */
  publicUrl?: string;
  state: InstanceState;
  reason: string;
  /** Absent: closed. */
  breaker?: BreakerState;
  /** 1–256; absent: 100. */
  weight?: number;
  /** 1 is first, higher numbers are backups; absent: 1. */
  priority?: number;
  /** What the agent measures, for isolates with no samples of their own. */
  latencyMs?: number;
  inflight?: number;
  /** When `state` last changed. */
  since: number;
  /** When it last began to serve: entered `up` or `probation` from elsewhere. Absent: `since`. */
  servingSince?: number;
  /** What the operator asked for, if not `ready`: panic mode ignores health, never this. */
  admin?: 'drain' | 'maint';
}

export interface SnapshotRateLimit {
  name: string;
  /** `ip`, `session`, `global`, `header:<name>`; several are combined. */
  key: string | string[];
  limit: number;
  window: number;
  burst?: number;
  cost?: number;
  scope: 'edge' | 'global';
  /** Counted over all services that have it, rather than by each for itself. */
  shared?: boolean;
  shadow?: boolean;
  exempt?: string[];
  routes?: string[];
  overrides?: Record<string, number>;
  native?: string;
}

export interface SnapshotAccessRule {
  path: string;
  allow?: string[];
  deny?: string[];
}

export interface SnapshotService {
  routes: string[];
  hosts?: string[];
  /** Per try, to the response headers. */
  timeout: number;
  /** For the whole client request. */
  deadline: number;
  path: 'gateway' | 'direct';
  strategy:
    | 'least_response_time'
    | 'round_robin'
    | 'weighted_round_robin'
    | 'least_connections'
    | 'consistent_hash'
    | 'random';
  failover: {
    strategy: 'immediate' | 'graceful' | 'circuit_break' | 'load_shed';
    maxAttempts: number;
    /** Fraction 0–1 of the requests in flight. */
    retryBudget: number;
    backoff: number;
    hedge: boolean;
    class: number;
    staleIfError: number;
  };
  affinity: { by: 'none' | 'cookie' | 'header' | 'ip'; header?: string; ttl: number };
  rateLimits: SnapshotRateLimit[];
  access: SnapshotAccessRule[];
  slowStart: number;
  instances: SnapshotInstance[];
}

/** A governance session's recorded moves: session id → service → instance. Only pins that differ from rendezvous. */
export type SnapshotPins = Record<string, Record<string, string>>;

export interface Snapshot {
  v: 1;
  site: string;
  epoch: number;
  seq: number;
  issuedAt: number;
  gateways: string[];
  weight?: number;
  near?: string[];
  services: Record<string, SnapshotService>;
  pins?: SnapshotPins;
}

/** Total order of one site's snapshots: epoch first, then seq. */
export interface SnapshotOrder {
  epoch: number;
  seq: number;
}

/** Negative when `a` is older than `b`, 0 when the same, positive when newer. */
export function compareSnapshotOrder(a: SnapshotOrder, b: SnapshotOrder): number {
  return a.epoch - b.epoch || a.seq - b.seq;
}

export const snapshotKey = (site: string): string => `snapshot:${site}`;

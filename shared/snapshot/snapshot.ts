/**
 * The snapshot: the document that the agent publishes and the edge routes from. Durations are milliseconds, instants are
 * epoch milliseconds. Values at their default are omitted, so that 1,000 instances stay under 256 KiB.
 */

export type BreakerState = 'closed' | 'open' | 'half_open';
/** The state that decides about traffic. The admin state overrides the breaker, the breaker overrides health. */
export type InstanceState = 'up' | 'probation' | 'draining' | 'down';

export interface SnapshotInstance {
  id: string;
  url: string;
  /** Where the edge reaches the instance directly; absent: `url` (the local stack). */
  publicUrl?: string;
  state: InstanceState;
  reason: string;
  /** Absent: closed. */
  breaker?: BreakerState;
  /** 1–256; absent: 100. */
  weight?: number;
  /** 0–1: the share of its weight that an outlier keeps; absent: 1. */
  share?: number;
  /** Priority level; 2 and above are backups; absent: 1. */
  priority?: number;
  /** Latency measured by the agent, for isolates without samples. */
  latencyMs?: number;
  inflight?: number;
  /** When `state` last changed. */
  since: number;
  /** When it last entered `up` or `probation` from another state; absent: `since`. */
  servingSince?: number;
  /** The admin state; absent: `ready`. Panic mode ignores health, never the admin state. */
  admin?: 'drain' | 'maint';
}

export interface SnapshotRateLimit {
  name: string;
  /** `ip`, `session`, `global` or `header:<name>`; a list combines several. */
  key: string | string[];
  limit: number;
  window: number;
  burst?: number;
  cost?: number;
  scope: 'edge' | 'global';
  /** Counts requests to all services together instead of those to each service. */
  shared?: boolean;
  shadow?: boolean;
  exempt?: string[];
  routes?: string[];
  overrides?: Record<string, number>;
}

export interface SnapshotAccessRule {
  path: string;
  allow?: string[];
  deny?: string[];
}

export interface SnapshotService {
  routes: string[];
  hosts?: string[];
  /** Per attempt, to the response headers. */
  timeout: number;
  /** For the whole client request. */
  deadline: number;
  path: 'gateway' | 'direct';
  /** Absent: HTTP/1.1. The edge cannot send HTTP/2 to an instance, so it uses only gateways. */
  protocol?: 'http2';
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
    /** Retries that each request earns, a fraction 0–1. */
    retryBudget: number;
    backoff: number;
    hedge: boolean;
    class: number;
    staleIfError: number;
  };
  affinity: { by: 'none' | 'cookie' | 'header' | 'ip'; header?: string; ttl: number };
  /** Only what differs from the defaults, which are 5 minutes and no paths. */
  longLived?: { idle?: number; paths?: string[] };
  rateLimits: SnapshotRateLimit[];
  access: SnapshotAccessRule[];
  slowStart: number;
  instances: SnapshotInstance[];
}

/** Which fields edge and gateway add. See `headers` in the configuration. */
export interface SnapshotHeaders {
  security: boolean;
  rateLimit: boolean;
  via: boolean;
  forwarded: boolean;
  serverTiming: boolean;
}

export const DEFAULT_HEADERS: SnapshotHeaders = {
  security: true,
  rateLimit: true,
  via: true,
  forwarded: false,
  serverTiming: false,
};

/**
 * Recorded moves of governance sessions: session id → service → instance. Only pins that differ from rendezvous
 * hashing.
 */
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
  /** Only what differs from the default. */
  headers?: Partial<SnapshotHeaders>;
  services: Record<string, SnapshotService>;
  pins?: SnapshotPins;
}

/** Total order of one site's snapshots: epoch first, then seq. */
export interface SnapshotOrder {
  epoch: number;
  seq: number;
}

/** Negative when `a` is older than `b`, 0 when equal, positive when newer. */
export function compareSnapshotOrder(a: SnapshotOrder, b: SnapshotOrder): number {
  return a.epoch - b.epoch || a.seq - b.seq;
}

export const snapshotKey = (site: string): string => `snapshot:${site}`;

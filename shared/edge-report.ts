import type { EdgeTrace } from './edge-trace.ts';
import type { Sketch } from './sketch.ts';

/**
 * What one edge isolate observed since its last report. The isolate POSTs it to `<gateway>/__acgs/edge-reports`; HAProxy
 * forwards it to the agent's `/v1/edge-reports` only with a valid edge token.
 */
export interface EdgeReport {
  v: 1;
  site: string;
  /** Random per isolate; identifies the report together with `seq`, so that a repeated one is recognized. */
  isolate: string;
  seq: number;
  from: number;
  to: number;
  /** The snapshot in use. */
  snapshot: { epoch: number; seq: number; ageMs: number; source: string } | null;
  tries: EdgeAttempts[];
  /** Decisions per service and rate limit. A request that several limits cover counts in each. */
  limits: { service: string; policy: string; allowed: number; denied: number; shadowDenied: number }[];
  /** Requests per service, each counted once with the response that the client got. */
  requests: EdgeRequests[];
  /** Single requests in detail, a bounded number. Absent: none. */
  traces?: EdgeTrace[];
  /** Requests that are missing from `traces` because of the bound. Absent: none. */
  tracesDropped?: number;
}

export interface EdgeAttempts {
  service: string;
  instance: string;
  /**
   * HAProxy counts `gateway` attempts as well, so the agent takes only their latency. `direct` attempts reach the edge
   * only.
   */
  path: 'gateway' | 'direct';
  success: number;
  failure: number;
  latency: Sketch;
}

export interface EdgeRequests {
  service: string;
  /** Rejected requests are included, in `status4xx`. */
  total: number;
  status2xx: number;
  status3xx: number;
  status4xx: number;
  status5xx: number;
  retries: number;
  failovers: number;
  /** Copies of late requests. */
  hedges: number;
  stale: number;
  shed: number;
  unavailable: number;
  /** Rejected with 429 by a rate limit. */
  limited: number;
  /** Rejected with 403 by an access rule. */
  forbidden: number;
  /** Of all requests that were not rejected. */
  latency: Sketch;
}

/** The counts that can be added up over reports. */
export const REQUEST_COUNTS = [
  'total',
  'status2xx',
  'status3xx',
  'status4xx',
  'status5xx',
  'retries',
  'failovers',
  'hedges',
  'stale',
  'shed',
  'unavailable',
  'limited',
  'forbidden',
] as const satisfies readonly (keyof EdgeRequests)[];

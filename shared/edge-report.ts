import type { Sketch } from './sketch.ts';

/**
 * What one edge isolate saw since its last report, POSTed to `<gateway>/__acgs/edge-reports` (HAProxy passes it to the
 * agent's `/v1/edge-reports` only with a valid edge token). Evidence, never a verdict.
 */
export interface EdgeReport {
  v: 1;
  site: string;
  /** Random per isolate; with `seq` it makes a repeated report recognisable. */
  isolate: string;
  seq: number;
  from: number;
  to: number;
  /** Order of the snapshot in use, its age, and where it came from. */
  snapshot: { epoch: number; seq: number; ageMs: number; source: string } | null;
  tries: EdgeAttempts[];
  /** Decisions of rate limits: service → policy → counts. A request that several policies covered is in several. */
  limits: { service: string; policy: string; allowed: number; denied: number; shadowDenied: number }[];
  /** Every request that was for a service, as its client saw it end. */
  requests: EdgeRequests[];
}

export interface EdgeAttempts {
  service: string;
  instance: string;
  /** `gateway`: HAProxy has counted these too, so only their latency is news. `direct`: only the edge saw them. */
  path: 'gateway' | 'direct';
  success: number;
  failure: number;
  latency: Sketch;
}

export interface EdgeRequests {
  service: string;
  /** By status class; turned-away requests are among the 4xx. */
  total: number;
  status2xx: number;
  status3xx: number;
  status4xx: number;
  status5xx: number;
  retries: number;
  failovers: number;
  stale: number;
  shed: number;
  unavailable: number;
  /** Turned away with 429, and by access rules with 403. */
  limited: number;
  forbidden: number;
  /** Of all but those turned away. */
  latency: Sketch;
}

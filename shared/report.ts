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
  tries: EdgeTries[];
  /** Rate-limit and access outcomes: service → policy → counts. */
  limits: { service: string; policy: string; allowed: number; denied: number; shadowDenied: number }[];
  /** Client-visible outcomes: service → counts by class, and retries, failovers, stale answers, shed requests. */
  requests: EdgeRequests[];
}

export interface EdgeTries {
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
  latency: Sketch;
}

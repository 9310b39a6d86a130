import type { Incident } from './incidents.ts';

/** The data of `acgs-lb report`; every output format is made from it. Times are epoch seconds. */
export interface Report {
  site: string;
  from: number;
  to: number;
  generatedAt: number;
  /** Seconds per point of a series. */
  bucket: number;
  targets: ReportTargets;
  /** All services together. */
  total: ReportFigures & { series: ReportPoint[] };
  services: ServiceReport[];
  /** Slowest first; those without a latency last. */
  instances: InstanceReport[];
  /** Newest first. */
  incidents: Incident[];
  breakers: BreakerReport[];
  /** Openings per bucket, all instances. */
  breakerSeries: { start: number; openings: number }[];
  alerts: AlertReport[];
  /** Caveats about the data. */
  notes: string[];
}

export interface ReportTargets {
  /** Fraction 0–1. */
  availability: number;
  p95Ms: number;
  errorRate: number;
}

/**
 * Of a service and the total, `requests`, `failures`, `errorRate`, `latency` and `availability` are about requests as
 * clients saw them. Of an instance, and of history without them, they are about attempts.
 */
export interface ReportFigures {
  requests: number;
  failures: number;
  attempts: number;
  retries: number;
  hedges: number;
  /** Requests rejected with 429 by a rate limit. */
  limited: number;
  /** Null without requests. */
  errorRate: number | null;
  /** Requests per second. */
  meanRate: number;
  peakRate: number;
  peakConcurrency: number;
  latency: LatencyFigure | null;
  availability: AvailabilityFigure | null;
  /** Share of the hours of the period that have data, 0–1. */
  coverage: number;
}

/** Milliseconds. `basis` `means`: percentiles of ten-second means, used when single requests were not recorded. */
export interface LatencyFigure {
  p50: number;
  p95: number;
  p99: number;
  max: number;
  basis: 'requests' | 'means';
}

/**
 * `basis` `requests`: the share of requests that did not fail. `time`: the share of samples in which the service or instance
 * could serve, for instances and for history without requests. `attempts`: the share of successful attempts, without either. `allowed` and `used`: the error budget and its used part, in minutes,
 * requests or attempts.
 */
export interface AvailabilityFigure {
  basis: 'requests' | 'time' | 'attempts';
  ratio: number;
  allowed: number;
  used: number;
  /** used / allowed. */
  burned: number;
}

export interface ServiceReport extends ReportFigures {
  service: string;
  queuedMax: number;
  incidents: number;
  outages: number;
  breakerOpenings: number;
  /** One point per bucket; a bucket without data has nulls. */
  series: ReportPoint[];
}

export interface InstanceReport extends ReportFigures {
  service: string;
  instance: string;
  incidents: number;
}

export interface ReportPoint {
  start: number;
  /** The bucket has no data. */
  gap: boolean;
  requests: number | null;
  failures: number | null;
  meanRate: number | null;
  peakRate: number | null;
  p50: number | null;
  p95: number | null;
  p99: number | null;
  availability: number | null;
}

export interface BreakerReport {
  service: string;
  instance: string;
  openings: number;
  lastAt: number;
  lastReason: string;
}

export interface AlertReport {
  id: string;
  rule: string;
  service: string;
  instance: string;
  severity: string;
  message: string;
  startedAt: number;
  resolvedAt: number | null;
}

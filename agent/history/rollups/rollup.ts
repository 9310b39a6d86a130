import { mergeOptionalSketch, type Sketch } from '../../../shared/sketch.ts';

/** One hour or day, or several merged, of one instance, or of a whole service when `instance` is ''. */
export interface Rollup {
  /** Epoch seconds, UTC. */
  start: number;
  service: string;
  instance: string;
  /** Number of ten-second rows. */
  rows: number;
  /** As stored: attempts, and the failed ones. Reports replace those of a service by the requests of `client`. */
  requests: number;
  failures: number;
  attempts: number;
  /** Of a service: requests as its clients saw them. Null: not recorded. */
  client: ClientRollup | null;
  /** Sum of response times in seconds, weighted by requests. */
  responseTimeSum: number;
  /** Highest requests per second of a ten-second row; `peakConcurrency`: highest number of open connections. */
  peakRate: number;
  peakConcurrency: number;
  queuedMax: number;
  cpuMax: number | null;
  memoryMax: number | null;
  /** Availability samples; `upSamples`: those in which it could serve. */
  samples: number;
  upSamples: number;
  /** Latencies of single requests in milliseconds. */
  latency: Sketch | null;
  /** Mean latencies of ten-second rows in milliseconds, weighted by requests. */
  means: Sketch | null;
}

export interface ClientRollup {
  requests: number;
  failed: number;
  retries: number;
  hedges: number;
  limited: number;
  latency: Sketch | null;
}

export function emptyRollup(start: number, service: string, instance: string): Rollup {
  return {
    start,
    service,
    instance,
    rows: 0,
    requests: 0,
    failures: 0,
    attempts: 0,
    client: null,
    responseTimeSum: 0,
    peakRate: 0,
    peakConcurrency: 0,
    queuedMax: 0,
    cpuMax: null,
    memoryMax: null,
    samples: 0,
    upSamples: 0,
    latency: null,
    means: null,
  };
}

/** Merges `other` into `rollup`: sums are added, peaks take the maximum, sketches are merged. */
export function addRollup(rollup: Rollup, other: Rollup): void {
  rollup.rows += other.rows;
  rollup.requests += other.requests;
  rollup.failures += other.failures;
  rollup.attempts += other.attempts;
  rollup.client = addClientRollup(rollup.client, other.client);
  rollup.responseTimeSum += other.responseTimeSum;
  rollup.samples += other.samples;
  rollup.upSamples += other.upSamples;
  rollup.peakRate = Math.max(rollup.peakRate, other.peakRate);
  rollup.peakConcurrency = Math.max(rollup.peakConcurrency, other.peakConcurrency);
  rollup.queuedMax = Math.max(rollup.queuedMax, other.queuedMax);
  rollup.cpuMax = higher(rollup.cpuMax, other.cpuMax);
  rollup.memoryMax = higher(rollup.memoryMax, other.memoryMax);
  rollup.latency = mergeOptionalSketch(rollup.latency, other.latency);
  rollup.means = mergeOptionalSketch(rollup.means, other.means);
}

function addClientRollup(into: ClientRollup | null, other: ClientRollup | null): ClientRollup | null {
  if (!into || !other) return into ?? other;
  return {
    requests: into.requests + other.requests,
    failed: into.failed + other.failed,
    retries: into.retries + other.retries,
    hedges: into.hedges + other.hedges,
    limited: into.limited + other.limited,
    latency: mergeOptionalSketch(mergeOptionalSketch(null, into.latency), other.latency),
  };
}

const higher = (a: number | null, b: number | null): number | null =>
  a === null ? b : b === null ? a : Math.max(a, b);

import { mergeOptionalSketch, type Sketch } from '../../../shared/sketch.ts';

/** One hour or day (or several, merged) of one instance; of a service as a whole when `instance` is ''. */
export interface Rollup {
  /** Epoch seconds, UTC. */
  start: number;
  service: string;
  instance: string;
  /** How many ten-second rows it was made of. */
  rows: number;
  requests: number;
  failures: number;
  /** Request-weighted sum of response times, seconds. */
  responseTimeSum: number;
  /** Requests per second and connections in flight, highest of its ten-second spans. */
  peakRate: number;
  peakConcurrency: number;
  queuedMax: number;
  cpuMax: number | null;
  memoryMax: number | null;
  /** How often it was looked at, and how often it could serve. */
  samples: number;
  upSamples: number;
  /** Of single requests, milliseconds. */
  latency: Sketch | null;
  /** Of ten-second means, milliseconds, each weighing as many requests as it stands for. */
  means: Sketch | null;
}

export function emptyRollup(start: number, service: string, instance: string): Rollup {
  return {
    start,
    service,
    instance,
    rows: 0,
    requests: 0,
    failures: 0,
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

/** Adds `other` into `rollup`: sums add, peaks take the higher, sketches merge. */
export function addRollup(rollup: Rollup, other: Rollup): void {
  rollup.rows += other.rows;
  rollup.requests += other.requests;
  rollup.failures += other.failures;
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

const higher = (a: number | null, b: number | null): number | null =>
  a === null ? b : b === null ? a : Math.max(a, b);

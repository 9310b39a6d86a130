import { mergeOptionalSketch, type Sketch } from '../../shared/sketch.ts';
import { finish } from '../lib/slices.ts';
import { type AvailabilitySample, takeSamples } from './availability-samples.ts';
import type { HostLoad } from './host-load.ts';
import { IdleSamples, IdleSums, KeyList, type SampleCounts } from './idle-samples.ts';
import { type RequestDelta, requestsIn, STATUS_CLASSES } from './requests.ts';
import {
  type Instance,
  instanceKey,
  type ProbeResult,
  type StatusCounts,
  type TrafficDelta,
} from './state.ts';

/**
 * Totals of one instance, one service (`instance` is '') or the whole site (both are ''). `success`, `failure` and
 * `latency` (milliseconds) of an instance are those of its attempts; those of a service and the site are requests as
 * their clients saw them.
 */
export interface TrafficTotals {
  success: number;
  failure: number;
  latency: Sketch | null;
  /** Requests of a service or the site; of an instance the responses that HAProxy got from it. */
  statuses: StatusCounts;
  /** Attempts of the instance, or of all instances together. */
  attempts: number;
  /** Of a service or the site. */
  retries: number;
  hedges: number;
  limited: number;
  /** Availability samples, and how many of them found it able to take traffic. */
  samples: number;
  upSamples: number;
  /** Requests in flight plus queued, summed over the samples. */
  concurrencySum: number;
  /** The longest queue of any sample. */
  queuedMax: number;
  /** Of an instance: samples that found its breaker not closed, and those that found it an outlier. */
  breakerSamples: number;
  outlierSamples: number;
  /** Of an instance: probes, the failed ones, and the milliseconds of those that passed. */
  probes: number;
  probesFailed: number;
  probeMsSum: number;
}

export interface HostTotals {
  samples: number;
  cpuSum: number;
  memorySum: number;
}

export interface TrafficPeriod {
  /** Epoch milliseconds; 0 when the accumulator has one endless period. */
  start: number;
  totals: ReadonlyMap<string, TrafficTotals>;
}

/** Hands each request and each sample to one consumer exactly once. */
export interface TrafficAccumulator {
  /** Removes and returns the periods that ended by `now`, oldest first. */
  takeEnded(now: number): TrafficPeriod[];
  /** Removes and returns everything. */
  takeAll(): TrafficPeriod[];
  /** What has not been taken yet, oldest first. */
  pending(): TrafficPeriod[];
}

/**
 * The traffic of the last minutes, in buckets of five seconds. The monitor, the dashboard, the metrics, the rows of
 * `load_balancing_metrics` and the minutes of history all read this window, so their numbers agree. Keys are
 * `service/instance`, `service/` and `/`. Memory depends on the number of instances, not on the traffic. Only accumulators
 * hold probes, breaker samples and outlier samples; the buckets leave them out.
 */
export interface TrafficWindow {
  /** Attempts of an instance. */
  addTraffic(delta: TrafficDelta): void;
  /**
   * Requests of a service. `elsewhere`: another agent of the site received them and hands them to its own accumulators,
   * so here they are only shown.
   */
  addRequests(delta: RequestDelta, elsewhere?: boolean): void;
  /** Counts a probe of an instance. Ignores probes that prove nothing and probes that still wait. */
  addProbe(result: ProbeResult): void;
  /** Takes one availability sample of every instance (by its key), every service and the site. */
  addSample(instances: Iterable<readonly [key: string, Instance]>, at: number): void;
  /** Like `addSample`, in small steps. */
  sampleSteps(instances: Iterable<readonly [key: string, Instance]>, at: number): Generator<void, void>;
  addHostLoad(load: HostLoad, at: number): void;
  /** Totals of the last `spanMs`, rounded up to whole buckets. */
  read(now: number, spanMs: number): WindowTotals;
  /** Like `read`, in small steps. */
  readSteps(now: number, spanMs: number): Generator<void, WindowTotals>;
  /** Like `read`, for one key. */
  readOne(key: string, now: number, spanMs: number): TrafficTotals;
  /** The last `count` whole buckets that ended by `end`, oldest first; undefined where nothing happened. */
  buckets(key: string, end: number, count: number): (TrafficTotals | undefined)[];
  /** Collects from now on, in periods of `periodMs`. */
  accumulate(periodMs?: number): TrafficAccumulator;
  /** Like `accumulate`, without probes and samples: an instance without requests takes no memory. */
  accumulateTraffic(): TrafficAccumulator;
}

export interface WindowTotals {
  totals: ReadonlyMap<string, TrafficTotals>;
  host: HostTotals;
}

interface TrafficBucket {
  start: number;
  totals: Map<string, TrafficTotals>;
  /** Samples that found no request. They come on top of the totals. */
  idle: IdleSamples;
  host: HostTotals;
}

export const BUCKET_MS = 5_000;
/** Totals that are read in one step. */
const STEP_TOTALS = 1_000;
/** What the dashboard draws; the monitor may need more. */
export const MIN_RETENTION_MS = 310_000;
/** Entries may arrive this late. A step further back than this means that the clock was set back. */
export const MAX_LATENESS_MS = 15_000;

export const emptyTotals = (): TrafficTotals => ({
  success: 0,
  failure: 0,
  latency: null,
  statuses: { '2xx': 0, '3xx': 0, '4xx': 0, '5xx': 0 },
  attempts: 0,
  retries: 0,
  hedges: 0,
  limited: 0,
  samples: 0,
  upSamples: 0,
  concurrencySum: 0,
  queuedMax: 0,
  breakerSamples: 0,
  outlierSamples: 0,
  probes: 0,
  probesFailed: 0,
  probeMsSum: 0,
});

export function createTrafficWindow(retentionMs: () => number = () => 0): TrafficWindow {
  const buckets = createBuckets(retentionMs);
  const accumulators: PeriodAccumulator[] = [];
  /** Those that also collect probes and samples. */
  const sampled: PeriodAccumulator[] = [];

  /** Adds to the bucket of the time, and to every accumulator unless `elsewhere`. */
  function add(key: string, at: number, apply: (totals: TrafficTotals) => void, elsewhere = false): void {
    apply(totalsOf(buckets.at(at).totals, key));
    if (elsewhere) return;
    for (const accumulator of accumulators) apply(accumulator.totals(key, at));
  }

  function* sampleSteps(instances: Iterable<readonly [string, Instance]>, at: number): Generator<void, void> {
    const bucket = buckets.at(at);
    let count = 0;
    yield* takeSamples(instances, (key, sample) => {
      count++;
      keepSample(bucket, key, sample);
      for (const accumulator of sampled) countSample(accumulator.totals(key, at), sample);
    });
    buckets.sampled(count);
  }

  function accumulate(periodMs: number): PeriodAccumulator {
    const accumulator = createAccumulator(periodMs);
    accumulators.push(accumulator);
    return accumulator;
  }

  return {
    addTraffic(delta) {
      const key = instanceKey(delta.service, delta.instance);
      const attempts = delta.success + delta.failure;
      add(key, delta.at, (totals) => addOutcomes(totals, delta));
      for (const each of [key, instanceKey(delta.service, ''), instanceKey('', '')]) {
        add(each, delta.at, (totals) => {
          totals.attempts += attempts;
        });
      }
    },
    addRequests(delta, elsewhere) {
      for (const key of [instanceKey(delta.service, ''), instanceKey('', '')]) {
        add(key, delta.at, (totals) => addRequestDelta(totals, delta), elsewhere);
      }
    },
    addProbe(result) {
      if (result.blind || result.early) return;
      const key = instanceKey(result.service, result.instance);
      for (const accumulator of sampled) countProbe(accumulator.totals(key, result.at), result);
    },
    addSample: (instances, at) => finish(sampleSteps(instances, at)),
    sampleSteps,
    addHostLoad({ cpuPercent, memoryPercent }, at) {
      addHost(buckets.at(at).host, { samples: 1, cpuSum: cpuPercent, memorySum: memoryPercent });
    },
    read: (now, spanMs) => finish(sumBuckets(buckets.since(now - spanMs))),
    readSteps: (now, spanMs) => sumBuckets(buckets.since(now - spanMs)),
    readOne: (key, now, spanMs) => sumOfKey(buckets.since(now - spanMs), key),
    buckets: (key, end, count) => lastBuckets(buckets.all(), key, end, count),
    accumulate(periodMs = Number.POSITIVE_INFINITY) {
      const accumulator = accumulate(periodMs);
      sampled.push(accumulator);
      return accumulator;
    },
    accumulateTraffic: () => accumulate(Number.POSITIVE_INFINITY),
  };
}

/** The buckets, oldest first. */
function createBuckets(retentionMs: () => number) {
  let kept: TrafficBucket[] = [];
  let keys = new KeyList();
  return {
    all: (): readonly TrafficBucket[] => kept,
    since: (since: number): TrafficBucket[] => kept.filter(({ start }) => start + BUCKET_MS > since),
    /** `count` instances, services and the site were sampled. */
    sampled(count: number): void {
      if (keys.isStale(count)) keys = new KeyList();
    },
    at(instant: number): TrafficBucket {
      const start = startOf(instant, BUCKET_MS);
      // After the clock was set back, buckets from the future would count until the clock reaches them again.
      if ((kept.at(-1)?.start ?? start) > start + MAX_LATENESS_MS) {
        kept = kept.filter((bucket) => bucket.start <= start);
      }
      const found = kept.findLast((bucket) => bucket.start <= start);
      if (found?.start === start) return found;
      const created: TrafficBucket = {
        start,
        totals: new Map(),
        idle: new IdleSamples(keys),
        host: { samples: 0, cpuSum: 0, memorySum: 0 },
      };
      const oldest = start - Math.max(retentionMs(), MIN_RETENTION_MS) - BUCKET_MS;
      kept = [...kept.filter((bucket) => bucket.start > oldest), created].sort((a, b) => a.start - b.start);
      return created;
    },
  };
}

function* sumBuckets(buckets: readonly TrafficBucket[]): Generator<void, WindowTotals> {
  const totals = new Map<string, TrafficTotals>();
  const host = { samples: 0, cpuSum: 0, memorySum: 0 };
  const idle = new IdleSums();
  let count = 0;
  for (const bucket of buckets) {
    addHost(host, bucket.host);
    bucket.idle.addTo(idle);
    for (const [key, one] of bucket.totals) {
      mergeTotals(totalsOf(totals, key), one);
      if (++count % STEP_TOTALS === 0) yield;
    }
    yield;
  }
  for (const [key, counts] of idle.entries()) {
    totals.set(key, withIdle(totals.get(key), counts));
    if (++count % STEP_TOTALS === 0) yield;
  }
  return { totals, host };
}

function sumOfKey(buckets: readonly TrafficBucket[], key: string): TrafficTotals {
  const sum = emptyTotals();
  for (const bucket of buckets) {
    const one = totalsIn(bucket, key);
    if (one) mergeTotals(sum, one);
  }
  return sum;
}

function lastBuckets(
  buckets: readonly TrafficBucket[],
  key: string,
  end: number,
  count: number,
): (TrafficTotals | undefined)[] {
  const last = startOf(end, BUCKET_MS) - BUCKET_MS;
  const first = last - (count - 1) * BUCKET_MS;
  const found = new Array<TrafficTotals | undefined>(count).fill(undefined);
  for (const bucket of buckets) {
    const { start } = bucket;
    if (start >= first && start <= last) found[(start - first) / BUCKET_MS] = totalsIn(bucket, key);
  }
  return found;
}

function totalsIn({ totals, idle }: TrafficBucket, key: string): TrafficTotals | undefined {
  const counts = idle.get(key);
  return counts ? withIdle(totals.get(key), counts) : totals.get(key);
}

function addHost(into: HostTotals, other: HostTotals): void {
  into.samples += other.samples;
  into.cpuSum += other.cpuSum;
  into.memorySum += other.memorySum;
}

interface PeriodAccumulator extends TrafficAccumulator {
  totals(key: string, at: number): TrafficTotals;
}

function createAccumulator(periodMs: number): PeriodAccumulator {
  const periods = new Map<number, Map<string, TrafficTotals>>();
  const take = (ended: (start: number) => boolean): TrafficPeriod[] => {
    const taken = [...periods].filter(([start]) => ended(start)).sort(([a], [b]) => a - b);
    for (const [start] of taken) periods.delete(start);
    return taken.map(([start, totals]) => ({ start, totals }));
  };
  return {
    totals(key, at) {
      const start = startOf(at, periodMs);
      const period = periods.get(start) ?? new Map<string, TrafficTotals>();
      periods.set(start, period);
      return totalsOf(period, key);
    },
    // A period that starts after `now` was written before the clock was set back.
    takeEnded: (now) => take((start) => start + periodMs <= now || start > now),
    takeAll: () => take(() => true),
    pending: () => [...periods].sort(([a], [b]) => a - b).map(([start, totals]) => ({ start, totals })),
  };
}

const startOf = (at: number, periodMs: number): number =>
  Number.isFinite(periodMs) ? Math.floor(at / periodMs) * periodMs : 0;

/** The totals of a key, which the caller may change. */
function totalsOf(map: Map<string, TrafficTotals>, key: string): TrafficTotals {
  const found = map.get(key);
  if (found) return found;
  const created = emptyTotals();
  map.set(key, created);
  return created;
}

/** Instances without requests share their totals, so that reading ten thousand of them creates few objects. */
const IDLE_TOTALS = new Map<number, TrafficTotals>();
const MAX_IDLE_TOTALS = 1_000;
/** More than the samples of any time span. */
const MAX_SAMPLES = 2 ** 24;

function idleTotals({ samples, upSamples }: SampleCounts): TrafficTotals {
  const both = samples * MAX_SAMPLES + upSamples;
  const found = IDLE_TOTALS.get(both);
  if (found) return found;
  const created = Object.freeze({ ...emptyTotals(), samples, upSamples });
  if (IDLE_TOTALS.size === MAX_IDLE_TOTALS) IDLE_TOTALS.clear();
  IDLE_TOTALS.set(both, created);
  return created;
}

/** The totals with the samples that found no request. */
const withIdle = (totals: TrafficTotals | undefined, counts: SampleCounts): TrafficTotals =>
  totals
    ? {
        ...totals,
        samples: totals.samples + counts.samples,
        upSamples: totals.upSamples + counts.upSamples,
      }
    : idleTotals(counts);

function keepSample({ totals, idle }: TrafficBucket, key: string, sample: AvailabilitySample): void {
  const isIdle = sample.concurrency === 0;
  if (!isIdle || !idle.add(key, sample.up)) countSample(totalsOf(totals, key), sample);
}

function countProbe(totals: TrafficTotals, { ok, latencyMs }: ProbeResult): void {
  totals.probes += 1;
  if (ok) totals.probeMsSum += latencyMs;
  else totals.probesFailed += 1;
}

function addStatuses(into: StatusCounts, other: StatusCounts): void {
  for (const name of STATUS_CLASSES) into[name] += other[name];
}

function addOutcomes(totals: TrafficTotals, { success, failure, latency, statuses }: TrafficDelta): void {
  totals.success += success;
  totals.failure += failure;
  totals.latency = mergeOptionalSketch(totals.latency, latency);
  if (statuses) addStatuses(totals.statuses, statuses);
}

function addRequestDelta(totals: TrafficTotals, delta: RequestDelta): void {
  const failed = delta.statuses['5xx'];
  addStatuses(totals.statuses, delta.statuses);
  totals.success += requestsIn(delta) - failed;
  totals.failure += failed;
  totals.retries += delta.retries;
  totals.hedges += delta.hedges;
  totals.limited += delta.limited;
  totals.latency = mergeOptionalSketch(totals.latency, delta.latency);
}

export function mergeTotals(into: TrafficTotals, other: TrafficTotals): void {
  into.success += other.success;
  into.failure += other.failure;
  into.latency = mergeOptionalSketch(into.latency, other.latency);
  addStatuses(into.statuses, other.statuses);
  into.attempts += other.attempts;
  into.retries += other.retries;
  into.hedges += other.hedges;
  into.limited += other.limited;
  into.samples += other.samples;
  into.upSamples += other.upSamples;
  into.concurrencySum += other.concurrencySum;
  into.queuedMax = Math.max(into.queuedMax, other.queuedMax);
  into.breakerSamples += other.breakerSamples;
  into.outlierSamples += other.outlierSamples;
  into.probes += other.probes;
  into.probesFailed += other.probesFailed;
  into.probeMsSum += other.probeMsSum;
}

function countSample(totals: TrafficTotals, sample: AvailabilitySample): void {
  const { up, concurrency, queued, breakerOpen = false, outlier = false } = sample;
  totals.samples += 1;
  if (up) totals.upSamples += 1;
  if (breakerOpen) totals.breakerSamples += 1;
  if (outlier) totals.outlierSamples += 1;
  totals.concurrencySum += concurrency;
  totals.queuedMax = Math.max(totals.queuedMax, queued);
}

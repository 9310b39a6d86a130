import { mergeOptionalSketch, type Sketch } from '../../shared/sketch.ts';
import type { Update } from './sink.ts';
import { type Instance, instanceKey } from './state.ts';

/** What the last minutes held for one instance, one service (`instance` is '') or the whole site (both are ''). */
export interface WindowTotals {
  success: number;
  failure: number;
  /** Each request once: of what passes HAProxy it tells, of what goes around it the edge. */
  latency: Sketch | null;
  /** How often it was looked at, and how often it could take traffic then. */
  samples: number;
  upSamples: number;
  /** In flight plus queued, summed over the samples; and the queue alone, at its longest. */
  concurrencySum: number;
  queuedMax: number;
}

export interface HostTotals {
  samples: number;
  cpuSum: number;
  memorySum: number;
}

/** A sliding window in steps of ten seconds: memory is bounded by instances, whatever the traffic. */
export interface TrafficWindow {
  add(update: Update): void;
  /** Everything not older than the window, by `service/instance`, `service/` and `/`. */
  read(now: number): { figures: Map<string, WindowTotals>; host: HostTotals };
}

interface TrafficBucket {
  start: number;
  figures: Map<string, WindowTotals>;
  host: HostTotals;
}

const STEP_MS = 10_000;

export const emptyTotals = (): WindowTotals => ({
  ...{ success: 0, failure: 0, latency: null, samples: 0, upSamples: 0 },
  ...{ concurrencySum: 0, queuedMax: 0 },
});

export function createTrafficWindow(windowMs: () => number): TrafficWindow {
  let buckets: TrafficBucket[] = [];

  function bucketAt(at: number): TrafficBucket {
    const start = Math.floor(at / STEP_MS) * STEP_MS;
    // A clock that was set back: what it called later would count for as long as it went back.
    if ((buckets.at(-1)?.start ?? start) > start + STEP_MS)
      buckets = buckets.filter((bucket) => bucket.start <= start);
    const last = buckets.at(-1);
    if (last && last.start >= start) return last;
    const fresh = { start, figures: new Map(), host: { samples: 0, cpuSum: 0, memorySum: 0 } };
    buckets = [...buckets.filter((bucket) => bucket.start + STEP_MS > at - windowMs()), fresh];
    return fresh;
  }

  return {
    add(update) {
      const bucket = bucketAt(update.at);
      for (const delta of update.traffic ?? []) {
        const figures = of(bucket, instanceKey(delta.service, delta.instance));
        figures.success += delta.success;
        figures.failure += delta.failure;
        figures.latency = mergeOptionalSketch(figures.latency, delta.latency);
      }
      // A change comes between the regular looks, once for each instance that failed: it is no sample of its own.
      if (update.changes.length === 0) sample(bucket, update.instances.values());
      const row = update.metrics?.[0];
      if (row) {
        bucket.host.samples += 1;
        bucket.host.cpuSum += row.cpuUsage;
        bucket.host.memorySum += row.memoryUsage;
      }
    },
    read(now) {
      const figures = new Map<string, WindowTotals>();
      const host = { samples: 0, cpuSum: 0, memorySum: 0 };
      for (const bucket of buckets) {
        if (bucket.start + STEP_MS <= now - windowMs()) continue;
        for (const [key, one] of bucket.figures) merge(figures, key, one);
        host.samples += bucket.host.samples;
        host.cpuSum += bucket.host.cpuSum;
        host.memorySum += bucket.host.memorySum;
      }
      addTraffic(figures);
      return { figures, host };
    },
  };
}

function of(bucket: TrafficBucket, key: string): WindowTotals {
  const found = bucket.figures.get(key);
  if (found) return found;
  const fresh = emptyTotals();
  bucket.figures.set(key, fresh);
  return fresh;
}

/** Before its first probes are in nobody knows whether it is there: a start of the agent is no outage. */
export const isHealthKnown = (instance: Pick<Instance, 'health'>): boolean => instance.health !== 'unknown';

/** A service can take traffic when one of its instances can; the site when all its services can. */
function sample(bucket: TrafficBucket, instances: Iterable<Instance>): void {
  const services = new Map<string, { up: boolean; busy: number; queued: number }>();
  for (const instance of instances) {
    if (!isHealthKnown(instance)) continue;
    const up = instance.state !== 'down';
    const busy = instance.inflight + instance.queued;
    count(of(bucket, instanceKey(instance.service, instance.id)), up, busy, instance.queued);
    const service = services.get(instance.service) ?? { up: false, busy: 0, queued: 0 };
    services.set(instance.service, {
      up: service.up || up,
      busy: service.busy + busy,
      queued: service.queued + instance.queued,
    });
  }
  if (services.size === 0) return;
  const site = { up: true, busy: 0, queued: 0 };
  for (const [service, { up, busy, queued }] of services) {
    count(of(bucket, instanceKey(service, '')), up, busy, queued);
    site.up &&= up;
    site.busy += busy;
    site.queued += queued;
  }
  count(of(bucket, instanceKey('', '')), site.up, site.busy, site.queued);
}

function count(figures: WindowTotals, up: boolean, busy: number, queued: number): void {
  figures.samples += 1;
  if (up) figures.upSamples += 1;
  figures.concurrencySum += busy;
  figures.queuedMax = Math.max(figures.queuedMax, queued);
}

/** Requests and latencies are told by instance; services and the site are their sums. */
function addTraffic(figures: Map<string, WindowTotals>): void {
  for (const [key, { success, failure, latency }] of [...figures]) {
    if (key.endsWith('/')) continue;
    const traffic = { ...emptyTotals(), success, failure, latency };
    merge(figures, key.slice(0, key.indexOf('/') + 1), traffic);
    merge(figures, '/', traffic);
  }
}

function merge(into: Map<string, WindowTotals>, key: string, one: WindowTotals): void {
  const sum = into.get(key) ?? emptyTotals();
  sum.success += one.success;
  sum.failure += one.failure;
  sum.latency = mergeOptionalSketch(sum.latency, one.latency);
  sum.samples += one.samples;
  sum.upSamples += one.upSamples;
  sum.concurrencySum += one.concurrencySum;
  sum.queuedMax = Math.max(sum.queuedMax, one.queuedMax);
  into.set(key, sum);
}

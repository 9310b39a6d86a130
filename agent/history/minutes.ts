import { mergeOptionalSketch, type Sketch } from '../../shared/sketch.ts';
import type { Update } from '../core/sink.ts';
import { isHealthKnown } from '../core/traffic-window.ts';
import type { HistoryRecord } from './records.ts';

/** Gathers what `latency_minutes` holds: request latencies and availability samples, a row a minute. */
export interface MinuteAggregator {
  add(update: Update): void;
  /** Rows of the minute that ended, when one did. */
  takeEnded(at: number): HistoryRecord[];
  /** Rows of whatever was gathered. */
  takeAll(): HistoryRecord[];
}

interface MinuteAggregate {
  service: string;
  /** '' is the service as a whole. */
  instance: string;
  samples: number;
  upSamples: number;
  queuedMax: number;
  latency: Sketch | null;
}

const MINUTE_MS = 60_000;

export function createMinuteAggregator(): MinuteAggregator {
  let start: number | null = null;
  let minutes = new Map<string, MinuteAggregate>();

  const of = (service: string, instance: string): MinuteAggregate => {
    const key = `${service}/${instance}`;
    const found = minutes.get(key);
    if (found) return found;
    const fresh = { service, instance, samples: 0, upSamples: 0, queuedMax: 0, latency: null };
    minutes.set(key, fresh);
    return fresh;
  };

  const rest = (): HistoryRecord[] => {
    const timestamp = (start ?? 0) / 1000;
    const records = [...minutes.values()].map((minute) => toRecord(minute, timestamp));
    minutes = new Map();
    start = null;
    return records;
  };

  return {
    add(update) {
      start ??= Math.floor(update.at / MINUTE_MS) * MINUTE_MS;
      // A change comes between the regular looks, once for each instance that failed: it is no sample of its own.
      if (update.changes.length === 0) sample(update, of);
      for (const delta of update.traffic ?? []) {
        if (!delta.latency?.count) continue;
        const minute = of(delta.service, delta.instance);
        minute.latency = mergeOptionalSketch(minute.latency, delta.latency);
      }
    },
    // Before it began: the clock was set back.
    takeEnded: (at) => (start !== null && (at >= start + MINUTE_MS || at < start) ? rest() : []),
    takeAll: rest,
  };
}

/** One availability sample of each instance, and of each service: can it serve at this instant? */
function sample(update: Update, of: (service: string, instance: string) => MinuteAggregate): void {
  const serving = new Map<string, { up: boolean; queued: number }>();
  for (const instance of update.instances.values()) {
    if (!isHealthKnown(instance)) continue;
    const up = instance.state !== 'down';
    count(of(instance.service, instance.id), up, instance.queued);
    const service = serving.get(instance.service) ?? { up: false, queued: 0 };
    serving.set(instance.service, { up: service.up || up, queued: service.queued + instance.queued });
  }
  for (const [service, { up, queued }] of serving) count(of(service, ''), up, queued);
}

function count(minute: MinuteAggregate, up: boolean, queued: number): void {
  minute.samples += 1;
  if (up) minute.upSamples += 1;
  minute.queuedMax = Math.max(minute.queuedMax, queued);
}

function toRecord(minute: MinuteAggregate, timestamp: number): HistoryRecord {
  return {
    table: 'latency_minutes',
    row: {
      service_type: minute.service,
      instance_id: minute.instance,
      timestamp,
      samples: minute.samples,
      up_samples: minute.upSamples,
      queued_max: minute.queuedMax,
      latency: minute.latency,
    },
  };
}

import type { TrafficPeriod, TrafficTotals, TrafficWindow } from '../core/traffic-window.ts';
import type { HistoryRecord } from './records.ts';

/** Turns the traffic window into rows of `latency_minutes`: request latencies and availability samples per minute. */
interface MinuteAggregator {
  /** Rows of the minutes that ended by `now`. */
  takeEnded(now: number): HistoryRecord[];
  /** Rows of everything collected so far, the current minute included. */
  takeAll(): HistoryRecord[];
}

const MINUTE_MS = 60_000;

export function createMinuteAggregator(window: TrafficWindow): MinuteAggregator {
  const accumulator = window.accumulate(MINUTE_MS);
  return {
    takeEnded: (now) => accumulator.takeEnded(now).flatMap(toRecords),
    takeAll: () => accumulator.takeAll().flatMap(toRecords),
  };
}

function toRecords({ start, totals }: TrafficPeriod): HistoryRecord[] {
  return [...totals]
    .filter(([key, { samples, latency }]) => key !== '/' && (samples > 0 || latency !== null))
    .map(([key, minute]) => toRecord(key, minute, start / 1000));
}

/** `instance_id` '' is the service as a whole. */
function toRecord(key: string, minute: TrafficTotals, timestamp: number): HistoryRecord {
  const slash = key.indexOf('/');
  return {
    table: 'latency_minutes',
    row: {
      service_type: key.slice(0, slash),
      instance_id: key.slice(slash + 1),
      timestamp,
      samples: minute.samples,
      up_samples: minute.upSamples,
      queued_max: minute.queuedMax,
      latency: minute.latency,
    },
  };
}

import { sketchQuantile } from '../../shared/sketch.ts';
import type { TrafficPeriod, TrafficTotals, TrafficWindow } from '../core/traffic-window.ts';
import type { HistoryRecord } from './records.ts';

/**
 * Turns the traffic window into rows per minute: `latency_minutes` has the availability samples of services and instances
 * and the attempts and probes of instances, `request_minutes` the requests of services as clients saw them.
 */
export interface MinuteAggregator {
  /** Rows of the minutes that ended by `now`. */
  takeEnded(now: number): HistoryRecord[];
  /** Rows of everything collected so far, the current minute included. */
  takeAll(): HistoryRecord[];
  /** Rows that would be written now, such as those of the current minute. */
  pending(): HistoryRecord[];
}

const MINUTE_MS = 60_000;

export function createMinuteAggregator(window: TrafficWindow): MinuteAggregator {
  const accumulator = window.accumulate(MINUTE_MS);
  const toRecords = ({ start, totals }: TrafficPeriod): HistoryRecord[] =>
    [...totals].flatMap(([key, minute]) => {
      const slash = key.indexOf('/');
      const id = { service: key.slice(0, slash), instance: key.slice(slash + 1), timestamp: start / 1000 };
      return [...latencyRecords(id, minute), ...requestRecords(id, minute)];
    });
  return {
    takeEnded: (now) => accumulator.takeEnded(now).flatMap(toRecords),
    takeAll: () => accumulator.takeAll().flatMap(toRecords),
    pending: () => accumulator.pending().flatMap(toRecords),
  };
}

/** `instance` '' is the service as a whole; without a service it is the site. */
interface MinuteId {
  service: string;
  instance: string;
  timestamp: number;
}

function latencyRecords({ service, instance, timestamp }: MinuteId, minute: TrafficTotals): HistoryRecord[] {
  // The latency of a service is in its requests. That of the site is here, so that its history needs no merge of all services.
  const latency = instance === '' && service !== '' ? null : minute.latency;
  const attempts = instance === '' ? 0 : minute.attempts;
  const statuses = instance === '' ? null : minute.statuses;
  if (minute.samples + minute.probes + attempts === 0 && latency === null) return [];
  const row = {
    service_type: service,
    instance_id: instance,
    timestamp,
    samples: minute.samples,
    up_samples: minute.upSamples,
    queued_max: minute.queuedMax,
    latency,
    attempts,
    failures: instance === '' ? 0 : minute.failure,
    // One property per column: a spread would make each of ten thousand rows a third larger.
    status_2xx: statuses?.['2xx'] ?? null,
    status_3xx: statuses?.['3xx'] ?? null,
    status_4xx: statuses?.['4xx'] ?? null,
    status_5xx: statuses?.['5xx'] ?? null,
    concurrency_sum: minute.concurrencySum,
    breaker_samples: minute.breakerSamples,
    outlier_samples: minute.outlierSamples,
    probes: minute.probes,
    probes_failed: minute.probesFailed,
    probe_ms_sum: minute.probeMsSum,
    p50_ms: latency && sketchQuantile(latency, 0.5),
    p95_ms: latency && sketchQuantile(latency, 0.95),
  };
  return [{ table: 'latency_minutes', row }];
}

const statusColumns = ({ statuses }: TrafficTotals) => ({
  status_2xx: statuses['2xx'],
  status_3xx: statuses['3xx'],
  status_4xx: statuses['4xx'],
  status_5xx: statuses['5xx'],
});

function requestRecords({ service, instance, timestamp }: MinuteId, minute: TrafficTotals): HistoryRecord[] {
  const requests = minute.success + minute.failure;
  if (service === '' || instance !== '' || requests + minute.attempts + minute.retries === 0) return [];
  const row = {
    service_type: service,
    timestamp,
    requests,
    failed: minute.failure,
    ...statusColumns(minute),
    attempts: minute.attempts,
    retries: minute.retries,
    hedges: minute.hedges,
    limited: minute.limited,
    latency: minute.latency,
  };
  return [{ table: 'request_minutes', row }];
}

/** Rows that an agent writes whether or not it leads: each request reaches one agent, but all see attempts and samples. */
export const requestsOnly = (records: readonly HistoryRecord[]): HistoryRecord[] =>
  records.flatMap(({ table, row }): HistoryRecord[] => {
    if (table === 'request_minutes' && Number(row.requests) + Number(row.retries) > 0) {
      return [{ table, row: { ...row, attempts: 0 } }];
    }
    if (table !== 'latency_minutes' || row.service_type !== '' || row.latency === null) return [];
    const { service_type, instance_id, timestamp, latency } = row;
    const counts = { samples: 0, up_samples: 0, queued_max: 0 };
    return [{ table, row: { service_type, instance_id, timestamp, ...counts, latency } }];
  });

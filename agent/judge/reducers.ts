import { closedBreaker, recordCalls } from '../../shared/breaker.ts';
import type { ServiceConfig } from '../../shared/config/config.ts';
import type { AdminState, ProbeResult, TrafficDelta } from '../core/state.ts';
import { recordFall } from './flap.ts';
import { countProbe } from './health-counter.ts';
import type { InstanceRecord } from './instance-record.ts';

/** What one piece of evidence or one wish does to a record. What traffic obeys is decided afterwards. */

/** After this long without a request, probes tell the latency again. */
const TRAFFIC_LATENCY_VALID_MS = 60_000;
/** How much one new sample moves the mean. */
const LATENCY_SMOOTHING = 0.2;

/** To a tenth of a millisecond: more digits would only lengthen the snapshot. */
const tenths = (ms: number): number => Math.round(ms * 10) / 10;

const blend = (mean: number | null, sample: number): number =>
  tenths(mean === null ? sample : mean + (sample - mean) * LATENCY_SMOOTHING);

/** So many probes tell the latency: their median, since one cold first answer says nothing about the next. */
const PROBE_SAMPLES = 5;

function median(times: readonly number[]): number {
  const sorted = times.toSorted((a, b) => a - b);
  // Of an even number the lower one: the first probe is the slow one.
  return tenths(sorted[Math.floor((sorted.length - 1) / 2)] ?? 0);
}

/** Requests come over connections that exist: what connecting took is left out. */
const responseTime = ({ latencyMs, timing }: ProbeResult): number =>
  latencyMs - (timing?.connectMs ?? 0) - (timing?.tlsMs ?? 0);

export function afterProbe(
  record: InstanceRecord,
  probe: ProbeResult,
  policy: ServiceConfig,
): InstanceRecord {
  if (probe.blind) return { ...record, instance: { ...record.instance, lastProbe: probe } };
  const tally = countProbe(record.tally, probe, policy.health);
  if (tally === record.tally) return record;
  const probeTimes = probe.ok
    ? [...record.probeTimes, responseTime(probe)].slice(-PROBE_SAMPLES)
    : record.probeTimes;
  const speaks = probe.ok && probe.at - record.measuredAt > TRAFFIC_LATENCY_VALID_MS;
  const latencyMs = speaks ? median(probeTimes) : record.instance.latencyMs;
  const next = {
    ...record,
    tally,
    probeTimes,
    instance: { ...record.instance, lastProbe: probe, latencyMs },
  };
  if (tally.health === record.tally.health) return next;
  if (tally.health === 'down') {
    const flap = record.tally.health === 'up' ? recordFall(record.flap, probe.at) : record.flap;
    return { ...next, provedAt: null, flap };
  }
  // A rise begins a new life: what the breaker held against the old one says nothing about it.
  const servedBefore = record.known && record.tally.health === 'unknown';
  return { ...next, breaker: closedBreaker(), provedAt: servedBefore ? null : probe.at, known: false };
}

export function afterTraffic(
  record: InstanceRecord,
  delta: TrafficDelta,
  policy: ServiceConfig,
  now: number,
): InstanceRecord {
  const calls = delta.success + delta.failure;
  const timed = delta.latency?.count ?? (delta.slow > 0 ? calls : 0);
  const counts = { calls, failures: delta.failure, timed, slow: delta.slow };
  const { latencyMs, inflight, queued } = record.instance;
  const mean = delta.latency?.count ? delta.latency.sum / delta.latency.count : null;
  return {
    ...record,
    breaker: recordCalls(record.breaker, counts, policy.breaker, now),
    measuredAt: mean === null ? record.measuredAt : now,
    instance: {
      ...record.instance,
      latencyMs: mean === null ? latencyMs : blend(latencyMs, mean),
      inflight: delta.inflight ?? inflight,
      queued: delta.queued ?? queued,
    },
  };
}

export function withAdmin(record: InstanceRecord, admin: AdminState, deadline?: number): InstanceRecord {
  const { drainDeadline: _, ...rest } = record.instance;
  return {
    ...record,
    instance: { ...rest, admin, ...(deadline === undefined ? {} : { drainDeadline: deadline }) },
  };
}

export const withWeight = (record: InstanceRecord, weight: number): InstanceRecord => ({
  ...record,
  instance: { ...record.instance, weight },
});

export function withHeartbeat(record: InstanceRecord, now: number): InstanceRecord {
  const { ttl } = record.source;
  return ttl === undefined ? record : { ...record, instance: { ...record.instance, expiresAt: now + ttl } };
}

import { closedBreaker, recordCalls } from '../../shared/breaker.ts';
import type { ServiceConfig } from '../../shared/config/config.ts';
import type { AdminState, ProbeResult, TrafficDelta } from '../core/state.ts';
import { recordFall } from './flap.ts';
import { countProbe, hungCounter } from './health-counter.ts';
import type { InstanceRecord } from './instance-record.ts';
import { addEvidence, NO_EVIDENCE } from './outlier/evidence.ts';
import { recovered } from './outlier/outlier.ts';
import {
  addLateProbe,
  advanceProgress,
  afterPass,
  isStuck,
  type Suspicion,
  stuckSince,
} from './suspicion.ts';

/** How evidence and commands change a record. `decide` derives the state from the result. */

/** After this long without measured requests, probes determine the latency. */
const TRAFFIC_LATENCY_VALID_MS = 60_000;
/** Weight of a new sample in the moving average. */
const LATENCY_SMOOTHING = 0.2;

/** Rounds to a tenth of a millisecond, which keeps the snapshot short. */
const roundToTenth = (ms: number): number => Math.round(ms * 10) / 10;

const movingAverage = (mean: number | null, sample: number): number =>
  roundToTenth(mean === null ? sample : mean + (sample - mean) * LATENCY_SMOOTHING);

/** The latency is the median of this many probes, because the first response is often slow. */
const PROBE_SAMPLES = 5;

function median(times: readonly number[]): number {
  const sorted = times.toSorted((a, b) => a - b);
  // The lower median, because the first probe is the slow one.
  return roundToTenth(sorted[Math.floor((sorted.length - 1) / 2)] ?? 0);
}

/** Without the time to connect, because requests reuse connections. */
const responseTime = ({ latencyMs, timing }: ProbeResult): number =>
  latencyMs - (timing?.connectMs ?? 0) - (timing?.tlsMs ?? 0);

/** A process that is restarted under maintenance does not flap. */
const isFall = ({ tally, instance }: InstanceRecord): boolean =>
  tally.health === 'up' && instance.admin !== 'maint';

export function afterProbe(
  record: InstanceRecord,
  probe: ProbeResult,
  policy: ServiceConfig,
): InstanceRecord {
  if (probe.blind) return { ...record, instance: { ...record.instance, lastProbe: probe } };
  if (probe.early) return afterLateProbe(record, probe);
  const counter = countProbe(record.tally, probe, policy.health);
  if (counter === record.tally) return record;
  const probeTimes = probe.ok
    ? [...record.probeTimes, responseTime(probe)].slice(-PROBE_SAMPLES)
    : record.probeTimes;
  const usesProbes = probe.ok && probe.at - record.measuredAt > TRAFFIC_LATENCY_VALID_MS;
  const latencyMs = usesProbes ? median(probeTimes) : record.instance.latencyMs;
  const next = {
    ...record,
    suspicion: probe.ok ? null : record.suspicion,
    progress: probe.ok ? afterPass(record.progress, probe.at) : record.progress,
    stuck: probe.ok ? false : record.stuck,
    tally: counter,
    probeTimes,
    instance: { ...record.instance, lastProbe: probe, latencyMs },
  };
  if (counter.health === record.tally.health) return next;
  if (counter.health === 'down') {
    const flap = isFall(record) ? recordFall(record.flap, probe.at) : record.flap;
    return { ...next, provedAt: null, flap };
  }
  // When health rises, earlier failures no longer count.
  const servedBeforeStart = record.known && record.tally.health === 'unknown';
  return {
    ...next,
    breaker: closedBreaker(),
    provedAt: servedBeforeStart ? null : probe.at,
    known: false,
    evidence: NO_EVIDENCE,
    outlier: recovered(record.outlier, probe.at),
  };
}

/** The decision that it hangs comes later, because it depends on its peers. */
function afterLateProbe(record: InstanceRecord, probe: ProbeResult): InstanceRecord {
  const startedAt = probe.at - probe.latencyMs;
  // A probe that started before the newest answer proves nothing.
  if (record.tally.health !== 'up' || startedAt < record.tally.newest) return record;
  const suspicion = addLateProbe(record.suspicion, startedAt, stuckSince(record.progress));
  return { ...record, suspicion, instance: { ...record.instance, lastProbe: probe } };
}

export function withHang(record: InstanceRecord, suspicion: Suspicion, now: number): InstanceRecord {
  const { inflight } = record.progress;
  const requests = inflight > 0 ? `, ${inflight} requests in flight` : '';
  const seconds = ((now - suspicion.since) / 1_000).toFixed(1);
  const because = `hung: no answer for ${seconds} s to ${suspicion.lateProbes} probes${requests}`;
  return {
    ...record,
    tally: hungCounter(record.tally, because, now),
    flap: recordFall(record.flap, now),
    provedAt: null,
    suspicion: null,
  };
}

export function afterTraffic(
  record: InstanceRecord,
  delta: TrafficDelta,
  policy: ServiceConfig,
  now: number,
): InstanceRecord {
  const calls = delta.success + delta.failure;
  const timed = delta.latency?.count ?? (delta.slow > 0 ? calls : 0);
  const counts = {
    calls,
    failures: delta.failure,
    timed,
    slow: delta.slow,
  };
  const { latencyMs, inflight } = record.instance;
  const mean = delta.latency?.count ? delta.latency.sum / delta.latency.count : null;
  const { broken = 0, abandoned = 0, stopped = 0, latency = null } = delta;
  const evidence = { calls, failures: delta.failure, broken, abandoned, stopped, latency };
  const isEvidence = calls + abandoned + stopped > 0 || evidence.latency !== null;
  const progress = advanceProgress(
    record.progress,
    { inflight: delta.inflight ?? inflight, answered: calls > 0, abandoned: abandoned > 0 },
    now,
  );
  return {
    ...record,
    progress,
    stuck: isStuck(progress, latencyMs, now),
    evidence: isEvidence ? addEvidence(record.evidence, evidence, now) : record.evidence,
    breaker: recordCalls(record.breaker, counts, policy.breaker, now),
    measuredAt: mean === null ? record.measuredAt : now,
    instance: {
      ...record.instance,
      latencyMs: mean === null ? latencyMs : movingAverage(latencyMs, mean),
      ...gaugesIn(delta),
    },
  };
}

/** The gauges of a delta; each source counts only some of them. */
const gaugesIn = ({ inflight, queued, inflightLimit, longLived, longLivedLimit }: TrafficDelta) => ({
  ...(inflight !== undefined && { inflight }),
  ...(queued !== undefined && { queued }),
  ...(inflightLimit !== undefined && { inflightLimit }),
  ...(longLived !== undefined && { longLived }),
  ...(longLivedLimit !== undefined && { longLivedLimit }),
});

export function withAdmin(record: InstanceRecord, admin: AdminState, deadline?: number): InstanceRecord {
  const { drainDeadline: _, ...rest } = record.instance;
  return {
    ...record,
    instance: { ...rest, admin, ...(deadline !== undefined && { drainDeadline: deadline }) },
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

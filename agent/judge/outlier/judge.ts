import type { OutlierPolicy, ServiceConfig } from '../../../shared/config/config.ts';
import { elapsedMs } from '../../../shared/elapsed.ts';
import { isServingState } from '../../../shared/serving.ts';
import type { OutlierStatus } from '../../core/state.ts';
import type { InstanceRecord } from '../instance-record.ts';
import { mediansOfOthers, nextLatencyShare } from '../latency-weight.ts';
import { compareInstances, latencyLimit } from './compare.ts';
import { type EvidenceCounts, NO_COUNTS, recentEvidence, TAIL_SECONDS, WINDOW_SECONDS } from './evidence.ts';
import { normalOutlier, type Outlier, outlierShare, stepOutlier } from './outlier.ts';

/** Judgements of one service are this far apart; broken connections are judged at once. */
export const JUDGEMENT_MS = 1_000;
/** The time in which an outlier shows that it has recovered. */
const RECOVERY_SECONDS = 5;
/** With this many calls, the last few seconds are enough. */
const SHORT_SECONDS = 3;
const ENOUGH_CALLS = 50;
/** The median of this many probes tells whether probes are slow. */
const PROBES_COMPARED = 3;

/** Whether time alone can change the outlier state or the latency share of this record. */
export const needsComparison = ({ evidence, outlier, instance }: InstanceRecord): boolean =>
  evidence.length > 0 || outlier.state !== 'normal' || instance.latencyShare !== undefined;

export const isJudgementDue = (record: InstanceRecord, now: number): boolean =>
  elapsedMs(record.comparedAt, now) >= JUDGEMENT_MS;

/**
 * Compares all instances of one service and returns the records that changed. Instances that are out of service for
 * another reason are neither judged nor used as peers.
 */
export function judgeOutliers(
  all: readonly InstanceRecord[],
  policy: ServiceConfig,
  now: number,
): InstanceRecord[] {
  const members = all.filter(({ instance, tally }) => instance.admin === 'ready' && tally.health === 'up');
  const counts = members.map((record) => evidenceOf(record, now));
  const outliers = policy.outlier ? stepOutliers(members, counts, policy.outlier, now) : [];
  const shares = latencyShares(members, counts, policy);
  const floor = policy.outlier?.minShare ?? 1;
  return members.map((record, index) => ({
    ...withOutlier(record, outliers[index] ?? normalOutlier(now), shares[index] ?? 1, floor),
    comparedAt: now,
  }));
}

/**
 * At most half of the members are out, and at most half are outliers. Each judgement takes the earlier ones into
 * account.
 */
function stepOutliers(
  members: readonly InstanceRecord[],
  counts: readonly EvidenceCounts[],
  policy: OutlierPolicy,
  now: number,
): Outlier[] {
  const tails = members.map((record, index) => tailOf(record, now) ?? counts[index] ?? NO_COUNTS);
  const comparisons = compareInstances(counts, policy, tails);
  const probeTimes = members.map(({ probeTimes: times }) => medianOf(times.slice(-PROBES_COMPARED)));
  const peerProbeTimes = mediansOfOthers(probeTimes);
  let serving = members.filter(({ instance }) => isServingState(instance.state)).length;
  let ejected = members.filter(({ outlier }) => outlier.state === 'ejected').length;
  let outliers = members.filter(({ outlier }) => outlier.state !== 'normal').length;
  return members.map(({ outlier: before }, index) => {
    const half = Math.floor((serving + ejected) / 2);
    const outlier = stepOutlier(before, comparisons[index] ?? { kind: 'unknown' }, {
      now,
      floor: policy.minShare,
      mayEject: serving > 1 && ejected + 1 <= half,
      mayReduce: outliers + 1 <= half,
      probesSlow: isSlow(probeTimes[index] ?? null, peerProbeTimes[index] ?? null, policy),
    });
    if (outlier.state === 'ejected' && before.state !== 'ejected') {
      serving--;
      ejected++;
    }
    if (outlier.state !== 'normal' && before.state === 'normal') outliers++;
    return outlier;
  });
}

function latencyShares(
  members: readonly InstanceRecord[],
  counts: readonly EvidenceCounts[],
  { strategy, outlier }: ServiceConfig,
): number[] {
  if (strategy !== 'least_response_time') return [];
  const own = counts.map(meanLatency);
  const peers = mediansOfOthers(own);
  const floor = outlier?.minShare ?? DEFAULT_FLOOR;
  return members.map(({ instance }, index) =>
    nextLatencyShare(instance.latencyShare ?? 1, own[index] ?? null, peers[index] ?? null, floor),
  );
}

const DEFAULT_FLOOR = 0.05;

/**
 * The newest seconds with enough traffic, so that traffic from before a change stops counting soon. A reduced or
 * returning instance has little traffic, and its old failures must not delay its recovery.
 */
function evidenceOf({ evidence, outlier }: InstanceRecord, now: number): EvidenceCounts {
  const recent = recentEvidence(evidence, now, SHORT_SECONDS);
  if (recent.calls >= ENOUGH_CALLS) return recent;
  return recentEvidence(evidence, now, outlier.state === 'normal' ? WINDOW_SECONDS : RECOVERY_SECONDS);
}

/**
 * Counts over the time in which rare stalls show, but not from before a recovery. Null: an outlier, which is judged by its
 * newest traffic.
 */
function tailOf({ evidence, outlier }: InstanceRecord, now: number): EvidenceCounts | null {
  if (outlier.state !== 'normal') return null;
  const normalFor = Math.floor(elapsedMs(outlier.since, now) / 1_000);
  const seconds = Math.min(TAIL_SECONDS, Math.max(RECOVERY_SECONDS, normalFor));
  return recentEvidence(evidence, now, seconds);
}

const medianOf = (times: readonly number[]): number | null =>
  times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] ?? null;

const isSlow = (own: number | null, peers: number | null, limits: OutlierPolicy): boolean =>
  own !== null && peers !== null && own >= latencyLimit(peers, limits);

const MIN_TIMED = 5;
const meanLatency = (counts: EvidenceCounts | undefined): number | null =>
  counts?.latency && counts.latency.count >= MIN_TIMED ? counts.latency.sum / counts.latency.count : null;

function withOutlier(
  record: InstanceRecord,
  outlier: Outlier,
  latencyShare: number,
  floor: number,
): InstanceRecord {
  const status = statusOf(outlier, floor);
  const { outlier: before, latencyShare: _, ...rest } = record.instance;
  const isSameStatus = before?.share === status?.share && before?.cause === status?.cause;
  const kept = isSameStatus ? before : status;
  return {
    ...record,
    outlier,
    instance: { ...rest, ...(latencyShare < 1 && { latencyShare }), ...(kept && { outlier: kept }) },
  };
}

function statusOf(outlier: Outlier, floor: number): OutlierStatus | undefined {
  if (outlier.state === 'normal') return undefined;
  const { cause, evidence, since } = outlier;
  return { cause, evidence, since, share: outlier.state === 'ejected' ? 0 : outlierShare(outlier, floor) };
}

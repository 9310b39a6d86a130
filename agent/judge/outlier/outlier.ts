import type { Comparison, OutlierCause } from './compare.ts';

/**
 * The outlier state of one instance, from its comparisons with its peers. An outlier keeps a share of its traffic, so
 * that it can prove its recovery. Only hard evidence takes it out of service, for a time that doubles with each
 * relapse: broken connections, a failure rate of a quarter, or slowness that its probes show too. Instants in epoch
 * milliseconds.
 */
export type Outlier =
  | {
      readonly state: 'normal';
      /** Consecutive judgements that it is worse. */
      readonly strikes: number;
      /** Times it was an outlier lately; falls by one per healthy minute. */
      readonly relapses: number;
      readonly since: number;
    }
  | {
      readonly state: 'reduced';
      /** Share of its weight, 1/20 to 1/2 … */
      readonly share: number;
      /** Consecutive judgements that it is like its peers. */
      readonly clears: number;
      readonly relapses: number;
      readonly since: number;
      readonly cause: OutlierCause;
      readonly evidence: string;
      /** When the last judgement with enough traffic was made. */
      readonly judgedAt: number;
    }
  | {
      readonly state: 'ejected';
      readonly until: number;
      readonly relapses: number;
      readonly since: number;
      readonly cause: OutlierCause;
      readonly evidence: string;
    };

export interface OutlierContext {
  readonly now: number;
  /** Lowest share, 0–1. */
  readonly floor: number;
  /** False when an ejection would leave fewer than half of the serving instances. */
  readonly mayEject: boolean;
  /** False when half of the instances are outliers already: then the cause may be shared. */
  readonly mayReduce: boolean;
  /** Its probes are slower than its peers' too, so probes show its recovery without traffic. */
  readonly probesSlow: boolean;
}

const STRIKES_TO_ENTER = 2;
const CLEARS_TO_LEAVE = 3;
const MAX_CLEARS = 60;
const FIRST_EJECTION_MS = 10_000;
const MAX_EJECTION_MS = 300_000;
const FORGIVE_AFTER_MS = 60_000;
/** After this time without enough traffic for a judgement, an outlier gets more traffic. */
const SILENCE_MS = 30_000;

export const normalOutlier = (now: number): Outlier => ({
  state: 'normal',
  strikes: 0,
  relapses: 0,
  since: now,
});

/** Its probes passed again after a fall. The new process starts healthy, but keeps the count of relapses. */
export const recovered = ({ relapses }: Outlier, now: number): Outlier => ({
  ...normalOutlier(now),
  relapses,
});

/** The share of its weight that an instance gets now, 0–1. */
export function outlierShare(outlier: Outlier, floor: number): number {
  if (outlier.state === 'normal') return 1;
  return outlier.state === 'reduced' ? Math.max(floor, outlier.share) : floor;
}

/** One judgement. Returns the same object when nothing changes. */
export function stepOutlier(outlier: Outlier, comparison: Comparison, context: OutlierContext): Outlier {
  if (outlier.state === 'normal') return stepNormal(outlier, comparison, context);
  if (outlier.state === 'ejected') return stepEjected(outlier, context);
  return stepReduced(outlier, comparison, context);
}

function stepNormal(
  outlier: Extract<Outlier, { state: 'normal' }>,
  comparison: Comparison,
  context: OutlierContext,
): Outlier {
  const { now } = context;
  const forgiven = Math.floor(Math.max(0, now - outlier.since) / FORGIVE_AFTER_MS);
  const relapses = Math.max(0, outlier.relapses - forgiven);
  const settled: Outlier =
    relapses === outlier.relapses
      ? outlier
      : { ...outlier, relapses, since: outlier.since + forgiven * FORGIVE_AFTER_MS };
  if (comparison.kind !== 'worse') return settled.strikes === 0 ? settled : { ...settled, strikes: 0 };
  const { cause, evidence } = comparison;
  if (isEjectable(comparison, context)) return eject(relapses, cause, evidence, now);
  if (!context.mayReduce) return settled;
  const strikes = outlier.strikes + 1;
  if (strikes < STRIKES_TO_ENTER && !comparison.severe) return { ...settled, strikes };
  if (isProvenSlow(cause, context)) return eject(relapses, cause, evidence, now);
  return {
    state: 'reduced',
    share: comparison.severe ? context.floor : Math.max(context.floor, 0.5),
    clears: 0,
    relapses: relapses + 1,
    since: now,
    cause,
    evidence,
    judgedAt: now,
  };
}

function stepReduced(
  outlier: Extract<Outlier, { state: 'reduced' }>,
  comparison: Comparison,
  context: OutlierContext,
): Outlier {
  const { now, floor } = context;
  if (comparison.kind === 'worse') {
    const { cause, evidence } = comparison;
    if (isEjectable(comparison, context) || isProvenSlow(cause, context)) {
      return eject(outlier.relapses, cause, evidence, now);
    }
    return {
      ...outlier,
      share: comparison.severe ? floor : Math.max(floor, outlier.share / 2),
      clears: 0,
      cause,
      evidence,
      judgedAt: now,
    };
  }
  if (comparison.kind === 'doubtful') return { ...outlier, clears: 0, judgedAt: now };
  if (comparison.kind === 'unknown') {
    // A clock that was set back counts as time without traffic too.
    if (Math.abs(now - outlier.judgedAt) < SILENCE_MS) return outlier;
    return grown({ ...outlier, judgedAt: now }, now);
  }
  const clears = outlier.clears + 1;
  const needed = Math.min(MAX_CLEARS, CLEARS_TO_LEAVE * 2 ** (outlier.relapses - 1));
  const judged = { ...outlier, clears, judgedAt: now };
  return clears < needed ? judged : grown(judged, now);
}

function stepEjected(
  outlier: Extract<Outlier, { state: 'ejected' }>,
  { now, floor, probesSlow }: OutlierContext,
): Outlier {
  if (outlier.cause === 'slow' && probesSlow) return outlier;
  const length = outlier.until - outlier.since;
  // A remaining time of more than twice the duration means that the clock was set back, so the time is over.
  const isOver = now >= outlier.until || outlier.until - now > 2 * length;
  if (outlier.cause !== 'slow' && !isOver) return outlier;
  const { relapses, cause, evidence } = outlier;
  return { state: 'reduced', share: floor, clears: 0, relapses, since: now, cause, evidence, judgedAt: now };
}

function grown(outlier: Extract<Outlier, { state: 'reduced' }>, now: number): Outlier {
  const share = outlier.share * 2;
  if (share < 1) return { ...outlier, share };
  return { state: 'normal', strikes: 0, relapses: outlier.relapses, since: now };
}

/** The probes are slow too, so they will show the recovery; the instance needs no traffic for that. */
const isProvenSlow = (cause: OutlierCause, { probesSlow, mayEject }: OutlierContext): boolean =>
  cause === 'slow' && probesSlow && mayEject;

/** Its answers are errors for clients. */
const isEjectable = (
  { cause, severe }: Extract<Comparison, { kind: 'worse' }>,
  context: OutlierContext,
): boolean => context.mayEject && severe && (cause === 'broken' || cause === 'failing');

function eject(relapses: number, cause: OutlierCause, evidence: string, now: number): Outlier {
  const length = Math.min(MAX_EJECTION_MS, FIRST_EJECTION_MS * 2 ** relapses);
  return { state: 'ejected', until: now + length, relapses: relapses + 1, since: now, cause, evidence };
}

const CAUSE_TEXT: Record<OutlierCause, string> = {
  broken: 'breaks connections',
  failing: 'failing',
  stalling: 'stalling',
  slow: 'slow',
};

/** For people: the cause, and the evidence in numbers. */
export const outlierReason = ({ cause, evidence }: { cause: OutlierCause; evidence: string }): string =>
  `${CAUSE_TEXT[cause]}: ${evidence}`;

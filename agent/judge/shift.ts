import { shiftBreaker } from '../../shared/breaker.ts';
import type { ServicePolicies } from '../core/judge-event.ts';
import type { Instance } from '../core/state.ts';
import type { Flap } from './flap.ts';
import type { InstanceRecord } from './instance-record.ts';
import type { Outlier } from './outlier/outlier.ts';

/**
 * The same record after the wall clock was set by `ms`. Every instant moves with the clock, so all waits keep their
 * remaining time. An operator's drain deadline stays, because the agents of a site share it.
 */
export function shiftRecord(record: InstanceRecord, ms: number, policies: ServicePolicies): InstanceRecord {
  const { tally, breaker, provedAt, progress, suspicion, evidence } = record;
  const window = policies[record.instance.service]?.breaker.window;
  return {
    ...record,
    instance: shiftInstance(record.instance, ms),
    tally: {
      ...tally,
      newest: tally.newest + ms,
      since: tally.since + ms,
    },
    breaker: window === undefined ? breaker : shiftBreaker(breaker, ms, window),
    flap: shiftFlap(record.flap, ms),
    provedAt: provedAt === null ? null : provedAt + ms,
    measuredAt: record.measuredAt + ms,
    evidence: evidence.map((slice) => ({ ...slice, second: slice.second + Math.round(ms / 1_000) })),
    outlier: shiftOutlier(record.outlier, ms),
    comparedAt: record.comparedAt + ms,
    progress: {
      ...progress,
      busySince: progress.busySince === null ? null : progress.busySince + ms,
      lastEndedAt: progress.lastEndedAt + ms,
      lastPassedAt: progress.lastPassedAt + ms,
    },
    suspicion: suspicion && { ...suspicion, since: suspicion.since + ms },
  };
}

function shiftInstance(instance: Instance, ms: number): Instance {
  const { servingSince, expiresAt, outlier, lastProbe } = instance;
  return {
    ...instance,
    since: instance.since + ms,
    ...(servingSince !== undefined && { servingSince: servingSince + ms }),
    ...(expiresAt !== undefined && { expiresAt: expiresAt + ms }),
    ...(outlier && { outlier: { ...outlier, since: outlier.since + ms } }),
    ...(lastProbe && { lastProbe: { ...lastProbe, at: lastProbe.at + ms } }),
  };
}

const shiftFlap = (flap: Flap, ms: number): Flap => ({
  ...flap,
  at: flap.at + ms,
  heldSince: flap.heldSince === null ? null : flap.heldSince + ms,
});

function shiftOutlier(outlier: Outlier, ms: number): Outlier {
  const since = outlier.since + ms;
  switch (outlier.state) {
    case 'normal':
      return { ...outlier, since };
    case 'reduced':
      return { ...outlier, since, judgedAt: outlier.judgedAt + ms };
    case 'ejected':
      return { ...outlier, since, until: outlier.until + ms };
  }
}

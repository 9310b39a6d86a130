import { advanceBreaker } from '../../shared/breaker.ts';
import { isLastServing } from '../../shared/serving.ts';
import type { Reason, ServicePolicies, StepResult } from '../core/judge-event.ts';
import type { Change, Instance } from '../core/state.ts';
import { createChange } from './change.ts';
import { decide } from './decide.ts';
import { updateSuppression } from './flap.ts';
import { emptyResult, type InstanceRecord } from './instance-record.ts';
import { outlierReason } from './outlier/outlier.ts';

export type InstanceRecords = ReadonlyMap<string, InstanceRecord>;

export interface StepContext {
  records: InstanceRecords;
  policies: ServicePolicies;
  now: number;
}

/**
 * Applies the passage of time to a changed record, decides its state, and lists the differences from the record before.
 * The result is empty when nothing differs.
 */
export function transition(
  before: InstanceRecord,
  changed: InstanceRecord,
  context: StepContext,
  reason?: Reason,
): StepResult<InstanceRecord> {
  const { now, policies, records } = context;
  const breaker = advanceBreaker(changed.breaker, now);
  const flap = updateSuppression(changed.flap, now);
  const advanced =
    breaker === changed.breaker && flap === changed.flap ? changed : { ...changed, breaker, flap };
  const verdict = decide(advanced, {
    now,
    slowStartMs: policies[advanced.instance.service]?.slowStart ?? 0,
    isLastServing: () => isLastServing(advanced.instance, instancesOf(records)),
  });
  const old = before.instance;
  if (advanced === before && verdict.state === old.state && verdict.reason === old.reason)
    return emptyResult();

  const startsServing = old.state === 'down' && verdict.state !== 'down';
  const record: InstanceRecord = {
    ...advanced,
    instance: {
      ...advanced.instance,
      ...verdict,
      since: verdict.state === old.state ? old.since : now,
      ...(startsServing && { servingSince: now }),
      health: advanced.tally.health,
      breaker: breaker.state,
    },
  };
  return { records: [record], removed: [], changes: changesBetween(before, record, now, reason) };
}

const instancesOf = (records: InstanceRecords) => records.values().map(({ instance }) => instance);

function changesBetween(
  before: InstanceRecord,
  after: InstanceRecord,
  now: number,
  reason: Reason | undefined,
): Change[] {
  const [old, instance] = [before.instance, after.instance];
  const changes: Change[] = [];
  const compare = (kind: Change['kind'], from: string, to: string, why: Reason) => {
    if (from !== to) changes.push(createChange(after, { kind, from, to }, why, now));
  };
  compare('admin', old.admin, instance.admin, reason ?? { reason: instance.reason });
  compare('weight', String(old.weight), String(instance.weight), reason ?? { reason: 'weight changed' });
  compare('health', old.health, instance.health, { reason: after.tally.because });
  compare('breaker', old.breaker, instance.breaker, { reason: breakerReason(after) });
  compare('outlier', shareText(old), shareText(instance), { reason: outlierChangeReason(after) });
  compare('state', old.state, instance.state, { reason: instance.reason });
  return changes;
}

const shareText = ({ outlier }: Instance): string => `${Math.round((outlier?.share ?? 1) * 100)} %`;

const outlierChangeReason = ({ instance: { outlier } }: InstanceRecord): string =>
  outlier ? outlierReason(outlier) : 'does as well as its peers';

function breakerReason({ breaker }: InstanceRecord): string {
  if (breaker.state === 'open') return breaker.why;
  return breaker.state === 'half_open'
    ? 'open time is over: trial calls are admitted'
    : 'trial calls or health checks passed';
}

import { advanceBreaker } from '../../shared/breaker.ts';
import type { Change } from '../core/state.ts';
import { createChange, type Reason } from './change.ts';
import { decide } from './decide.ts';
import { updateSuppression } from './flap.ts';
import {
  emptyResult,
  type InstanceRecord,
  type ServicePolicies,
  type StepResult,
} from './instance-record.ts';

export type InstanceRecords = ReadonlyMap<string, InstanceRecord>;

export interface StepContext {
  records: InstanceRecords;
  policies: ServicePolicies;
  now: number;
}

/** Lets time act, decides the state, and tells what became different. Nothing different: an empty outcome. */
export function transition(
  before: InstanceRecord,
  changed: InstanceRecord,
  scene: StepContext,
  asked?: Reason,
): StepResult {
  const { now } = scene;
  const breaker = advanceBreaker(changed.breaker, now);
  const flap = updateSuppression(changed.flap, now);
  const moved =
    breaker === changed.breaker && flap === changed.flap ? changed : { ...changed, breaker, flap };
  const verdict = decide(moved, {
    now,
    slowStartMs: scene.policies[moved.instance.service]?.slowStart ?? 0,
    isLastServing: () => isLastServing(moved, scene.records),
  });
  const old = before.instance;
  if (moved === before && verdict.state === old.state && verdict.reason === old.reason) return emptyResult();

  const begins = old.state === 'down' && verdict.state !== 'down';
  const instance = {
    ...moved.instance,
    ...verdict,
    since: verdict.state === old.state ? old.since : now,
    ...(begins ? { servingSince: now } : {}),
    health: moved.tally.health,
    breaker: breaker.state,
  };
  const record = { ...moved, instance };
  return { records: [record], removed: [], changes: differences(before, record, now, asked) };
}

/** No other instance of its service takes new traffic. */
function isLastServing({ instance }: InstanceRecord, book: InstanceRecords): boolean {
  for (const { instance: other } of book.values()) {
    if (other.service !== instance.service || other.id === instance.id) continue;
    if (other.state === 'up' || other.state === 'probation') return false;
  }
  return true;
}

function differences(
  before: InstanceRecord,
  after: InstanceRecord,
  now: number,
  asked: Reason | undefined,
): Change[] {
  const [old, instance] = [before.instance, after.instance];
  const changes: Change[] = [];
  const note = (kind: Change['kind'], from: string, to: string, why: Reason) => {
    if (from !== to) changes.push(createChange(after, kind, now, why, { from, to }));
  };
  note('admin', old.admin, instance.admin, asked ?? { reason: instance.reason });
  note('weight', String(old.weight), String(instance.weight), asked ?? { reason: 'weight changed' });
  note('health', old.health, instance.health, { reason: after.tally.because });
  note('breaker', old.breaker, instance.breaker, { reason: breakerReason(after) });
  note('state', old.state, instance.state, { reason: instance.reason });
  return changes;
}

function breakerReason({ breaker }: InstanceRecord): string {
  if (breaker.state === 'open') return breaker.why;
  return breaker.state === 'half_open'
    ? 'open time is over: a few calls on trial'
    : 'nothing is held against it any more';
}

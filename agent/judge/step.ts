import type { JudgeEvent, ServicePolicies, StepResult } from '../core/judge-event.ts';
import { instanceKey } from '../core/state.ts';
import { createChange } from './change.ts';
import { emptyResult, type InstanceRecord, newRecord, withSource } from './instance-record.ts';
import { afterProbe, afterTraffic, withAdmin, withHeartbeat, withWeight } from './reducers.ts';
import { type InstanceRecords, type StepContext, transition } from './transition.ts';

type Result = StepResult<InstanceRecord>;
type RegisterCommand = Extract<JudgeEvent, { kind: 'register' }>;
type InstanceEvent = Exclude<JudgeEvent, { kind: 'tick' | 'register' | 'deregister' }>;

/** The judge: applies one event to the records. Pure. An event for an unknown instance changes nothing. */
export function step(
  records: InstanceRecords,
  event: JudgeEvent,
  policies: ServicePolicies,
  now: number,
): Result {
  const context = { records, policies, now };
  if (event.kind === 'tick') return tick(context);
  if (event.kind === 'register') return register(context, event);
  const key = instanceKey(event.service, event.instance);
  const before = records.get(key);
  if (!before) return emptyResult();
  if (event.kind === 'deregister') {
    const change = createChange(before, { kind: 'deregistered' }, event, now);
    return { records: [], removed: [key], changes: [change] };
  }
  return transition(before, reduce(before, event, context), context, 'reason' in event ? event : undefined);
}

function reduce(record: InstanceRecord, event: InstanceEvent, context: StepContext): InstanceRecord {
  const { policies, now } = context;
  const policy = policies[event.service];
  switch (event.kind) {
    case 'probe':
      return policy ? afterProbe(record, event, policy) : record;
    case 'traffic':
      return policy ? afterTraffic(record, event, policy, now) : record;
    case 'admin':
      return withAdmin(record, event.admin, event.deadline);
    case 'weight':
      return withWeight(record, event.weight);
    case 'heartbeat':
      return withHeartbeat(record, now);
  }
}

function register(context: StepContext, event: RegisterCommand): Result {
  const { source, known } = event;
  const { records, now } = context;
  const before = records.get(instanceKey(source.service, source.id));
  if (before) return transition(before, withSource(before, source, now), context, event);
  const record = newRecord(source, known, now);
  return {
    records: [record],
    removed: [],
    changes: [createChange(record, { kind: 'registered' }, event, now)],
  };
}

function tick({ records, policies, now }: StepContext): Result {
  const result = emptyResult();
  // Later records see the new state of earlier ones, so that only one instance stays in service as the last one.
  const current = new Map(records);
  for (const [key, record] of records) {
    if (!isTimeDependent(record)) continue;
    const { expiresAt, drainDeadline } = record.instance;
    if (expiresAt !== undefined && now >= expiresAt) {
      const reason = { reason: 'registration expired: no heartbeat in time' };
      current.delete(key);
      result.removed.push(key);
      result.changes.push(createChange(record, { kind: 'deregistered' }, reason, now));
      continue;
    }
    const drainEnds = drainDeadline !== undefined && now >= drainDeadline;
    const { records: changed, changes } = transition(
      record,
      drainEnds ? withAdmin(record, 'maint') : record,
      { records: current, policies, now },
      drainEnds ? { reason: 'drain deadline reached' } : undefined,
    );
    for (const next of changed) current.set(key, next);
    result.records.push(...changed);
    result.changes.push(...changes);
  }
  return result;
}

/** Whether time alone can change this record. A tick skips all others, which are most of them. */
const isTimeDependent = ({ instance, breaker, flap }: InstanceRecord): boolean =>
  instance.state === 'probation' ||
  breaker.state === 'open' ||
  flap.heldSince !== null ||
  instance.drainDeadline !== undefined ||
  instance.expiresAt !== undefined;

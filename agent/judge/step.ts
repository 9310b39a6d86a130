import { isServingState } from '../../shared/serving.ts';
import type { JudgeEvent, ServicePolicies, StepResult } from '../core/judge-event.ts';
import { instanceKey } from '../core/state.ts';
import { createChange } from './change.ts';
import { emptyResult, type InstanceRecord, newRecord, withSource } from './instance-record.ts';
import { isJudgementDue, judgeOutliers, needsComparison } from './outlier/judge.ts';
import { afterProbe, afterTraffic, withAdmin, withHang, withHeartbeat, withWeight } from './reducers.ts';
import { isHung, isStuck } from './suspicion.ts';
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
  const reduced = reduce(before, event, context);
  const judged =
    event.kind === 'traffic' && event.failure > 0
      ? withEjection(reduced, context)
      : withHangVerdict(reduced, context);
  return transition(before, judged, context, 'reason' in event ? event : undefined);
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
  let current: Map<string, InstanceRecord> | null = null;
  const compared = compareServices(records, policies, now);
  for (const [key, record] of records) {
    const changedRecord = compared.get(key) ?? record;
    if (changedRecord === record && !isTimeDependent(record)) continue;
    // Most ticks change nothing, and a copy of ten thousand records takes a millisecond.
    current ??= new Map(records);
    const { expiresAt, drainDeadline } = record.instance;
    if (expiresAt !== undefined && now >= expiresAt) {
      const reason = { reason: 'registration expired: no heartbeat in time' };
      current.delete(key);
      result.removed.push(key);
      result.changes.push(createChange(record, { kind: 'deregistered' }, reason, now));
      continue;
    }
    const drainEnds = drainDeadline !== undefined && now >= drainDeadline;
    const context = { records: current, policies, now };
    const watched = withHangVerdict(withStuck(changedRecord, now), context);
    const { records: changed, changes } = transition(
      record,
      drainEnds ? withAdmin(watched, 'maint') : watched,
      context,
      drainEnds ? { reason: 'drain deadline reached' } : undefined,
    );
    for (const next of changed) current.set(key, next);
    result.records.push(...changed);
    result.changes.push(...changes);
  }
  return result;
}

/** The records of all services whose comparison is due, by key. */
function compareServices(
  records: InstanceRecords,
  policies: ServicePolicies,
  now: number,
): Map<string, InstanceRecord> {
  const compared = new Map<string, InstanceRecord>();
  const active = new Set<string>();
  for (const record of records.values()) {
    if (needsComparison(record) && isJudgementDue(record, now)) active.add(record.instance.service);
  }
  if (active.size === 0) return compared;
  const byService = Map.groupBy(records.values(), ({ instance }) => instance.service);
  for (const service of active) {
    const policy = policies[service];
    if (!policy) continue;
    for (const record of judgeOutliers(byService.get(service) ?? [], policy, now)) {
      compared.set(instanceKey(service, record.instance.id), record);
    }
  }
  return compared;
}

/** Hard evidence takes an instance out at once: every second costs clients more requests. */
function withEjection(record: InstanceRecord, { records, policies, now }: StepContext): InstanceRecord {
  const { service, id } = record.instance;
  const policy = policies[service];
  if (!policy?.outlier) return record;
  const members = [...records.values()].filter(({ instance }) => instance.service === service);
  const updated = members.map((one) => (one.instance.id === id ? record : one));
  const judged = judgeOutliers(updated, policy, now).find(({ instance }) => instance.id === id);
  return judged?.outlier.state === 'ejected' ? judged : record;
}

function withStuck(record: InstanceRecord, now: number): InstanceRecord {
  const stuck = isStuck(record.progress, record.instance.latencyMs, now);
  return stuck === record.stuck ? record : { ...record, stuck };
}

/**
 * Takes a hung instance down. Does nothing while at least as many peers look hung too: then the cause is shared, or the
 * agent itself was slow, and full probe timeouts decide.
 */
function withHangVerdict(record: InstanceRecord, { records, policies, now }: StepContext): InstanceRecord {
  const { suspicion, tally, instance } = record;
  const fall = policies[instance.service]?.health.fall;
  if (!suspicion || fall === undefined || tally.health !== 'up' || !isHung(suspicion, fall, now))
    return record;
  const peers = [...records.values()].filter(
    ({ instance: other }) =>
      other.service === instance.service && other.id !== instance.id && isServingState(other.state),
  );
  const suspects = peers.filter((peer) => peer.suspicion !== null).length;
  return suspects + 1 <= Math.floor((peers.length + 1) / 2) ? withHang(record, suspicion, now) : record;
}

/** Whether time alone can change this record. A tick skips all others, which are most of them. */
const isTimeDependent = ({ instance, breaker, flap, progress, suspicion }: InstanceRecord): boolean =>
  progress.busySince !== null ||
  suspicion !== null ||
  instance.state === 'probation' ||
  breaker.state === 'open' ||
  flap.heldSince !== null ||
  instance.drainDeadline !== undefined ||
  instance.expiresAt !== undefined;

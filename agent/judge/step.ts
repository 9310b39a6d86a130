import { type AdminState, type Evidence, instanceKey } from '../core/state.ts';
import { createChange, type Reason } from './change.ts';
import {
  emptyResult,
  type InstanceRecord,
  type InstanceSource,
  newRecord,
  type ServicePolicies,
  type StepResult,
  withSource,
} from './instance-record.ts';
import { afterProbe, afterTraffic, withAdmin, withHeartbeat, withWeight } from './reducers.ts';
import { type InstanceRecords, type StepContext, transition } from './transition.ts';

/** What an operator, or an instance speaking for itself, asks for. */
export type JudgeCommand =
  | ({ kind: 'register'; source: InstanceSource; known: boolean } & Reason)
  | ({ kind: 'deregister'; service: string; instance: string } & Reason)
  | ({ kind: 'admin'; service: string; instance: string; admin: AdminState; deadline?: number } & Reason)
  | ({ kind: 'weight'; service: string; instance: string; weight: number } & Reason)
  | { kind: 'heartbeat'; service: string; instance: string };

/** `tick`: time passes: breakers half-open, slow starts end, drains and registrations run out. */
export type JudgeEvent = Evidence | JudgeCommand | { kind: 'tick' };

/** The judgement: one event, held against what is known, at one instant. Pure; an unknown instance is no news. */
export function step(
  book: InstanceRecords,
  event: JudgeEvent,
  policies: ServicePolicies,
  now: number,
): StepResult {
  const scene = { records: book, policies, now };
  if (event.kind === 'tick') return tick(scene);
  if (event.kind === 'register') return register(scene, event);
  const key = instanceKey(event.service, event.instance);
  const before = book.get(key);
  if (!before) return emptyResult();
  if (event.kind === 'deregister') {
    return { records: [], removed: [key], changes: [createChange(before, 'deregistered', now, event)] };
  }
  return transition(before, reduce(before, event, scene), scene, 'reason' in event ? event : undefined);
}

type InstanceEvent = Exclude<JudgeEvent, { kind: 'tick' | 'register' | 'deregister' }>;

function reduce(
  record: InstanceRecord,
  event: InstanceEvent,
  { policies, now }: StepContext,
): InstanceRecord {
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

function register(scene: StepContext, event: Extract<JudgeEvent, { kind: 'register' }>): StepResult {
  const { source, known } = event;
  const before = scene.records.get(instanceKey(source.service, source.id));
  if (before) return transition(before, withSource(before, source, scene.now), scene, event);
  const record = newRecord(source, known, scene.now);
  return { records: [record], removed: [], changes: [createChange(record, 'registered', scene.now, event)] };
}

function tick({ records: book, policies, now }: StepContext): StepResult {
  const outcome = emptyResult();
  // Each is judged by what has become of those before it, or two that are spared as the last one would both be.
  const current = new Map(book);
  for (const [key, record] of book) {
    if (!isTimeDependent(record)) continue;
    const { expiresAt, drainDeadline } = record.instance;
    if (expiresAt !== undefined && now >= expiresAt) {
      current.delete(key);
      outcome.removed.push(key);
      outcome.changes.push(
        createChange(record, 'deregistered', now, { reason: 'registration ran out: no heartbeat in time' }),
      );
      continue;
    }
    const over = drainDeadline !== undefined && now >= drainDeadline;
    const next = over ? withAdmin(record, 'maint') : record;
    const scene = { records: current, policies, now };
    const settled = transition(record, next, scene, over ? { reason: 'drain deadline reached' } : undefined);
    for (const changed of settled.records) current.set(key, changed);
    outcome.records.push(...settled.records);
    outcome.changes.push(...settled.changes);
  }
  return outcome;
}

/** Whether time alone can change this record: most of thousands need no look at every tick. */
const isTimeDependent = ({ instance, breaker, flap }: InstanceRecord): boolean =>
  instance.state === 'probation' ||
  breaker.state === 'open' ||
  flap.heldSince !== null ||
  instance.drainDeadline !== undefined ||
  instance.expiresAt !== undefined;

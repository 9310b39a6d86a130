import { type AdminState, type Evidence, instanceKey } from '../state.ts';
import { afterProbe, afterTraffic, withAdmin, withHeartbeat, withWeight } from './apply.ts';
import { type Asked, news } from './news.ts';
import {
  newRecord,
  noOutcome,
  type Outcome,
  type Policies,
  type Record,
  type Source,
  withSource,
} from './record.ts';
import { type Book, type Scene, settle } from './settle.ts';

/** What an operator, or an instance speaking for itself, asks for. */
export type Command =
  | ({ kind: 'register'; source: Source; known: boolean } & Asked)
  | ({ kind: 'deregister'; service: string; instance: string } & Asked)
  | ({ kind: 'admin'; service: string; instance: string; admin: AdminState; deadline?: number } & Asked)
  | ({ kind: 'weight'; service: string; instance: string; weight: number } & Asked)
  | { kind: 'heartbeat'; service: string; instance: string };

/** `tick`: time passes: breakers half-open, slow starts end, drains and registrations run out. */
export type Event = Evidence | Command | { kind: 'tick' };

/** The judgement: one event, held against what is known, at one instant. Pure; an unknown instance is no news. */
export function step(book: Book, event: Event, policies: Policies, now: number): Outcome {
  const scene = { book, policies, now };
  if (event.kind === 'tick') return tick(scene);
  if (event.kind === 'register') return register(scene, event);
  const key = instanceKey(event.service, event.instance);
  const before = book.get(key);
  if (!before) return noOutcome();
  if (event.kind === 'deregister') {
    return { records: [], removed: [key], changes: [news(before, 'deregistered', now, event)] };
  }
  return settle(before, applied(before, event, scene), scene, 'reason' in event ? event : undefined);
}

type Touching = Exclude<Event, { kind: 'tick' | 'register' | 'deregister' }>;

function applied(record: Record, event: Touching, { policies, now }: Scene): Record {
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

function register(scene: Scene, event: Extract<Event, { kind: 'register' }>): Outcome {
  const { source, known } = event;
  const before = scene.book.get(instanceKey(source.service, source.id));
  if (before) return settle(before, withSource(before, source, scene.now), scene, event);
  const record = newRecord(source, known, scene.now);
  return { records: [record], removed: [], changes: [news(record, 'registered', scene.now, event)] };
}

function tick({ book, policies, now }: Scene): Outcome {
  const outcome = noOutcome();
  // Each is judged by what has become of those before it, or two that are spared as the last one would both be.
  const current = new Map(book);
  for (const [key, record] of book) {
    if (!waitsForTime(record)) continue;
    const { expiresAt, drainDeadline } = record.instance;
    if (expiresAt !== undefined && now >= expiresAt) {
      current.delete(key);
      outcome.removed.push(key);
      outcome.changes.push(
        news(record, 'deregistered', now, { reason: 'registration ran out: no heartbeat in time' }),
      );
      continue;
    }
    const over = drainDeadline !== undefined && now >= drainDeadline;
    const next = over ? withAdmin(record, 'maint') : record;
    const scene = { book: current, policies, now };
    const settled = settle(record, next, scene, over ? { reason: 'drain deadline reached' } : undefined);
    for (const changed of settled.records) current.set(key, changed);
    outcome.records.push(...settled.records);
    outcome.changes.push(...settled.changes);
  }
  return outcome;
}

/** Whether time alone can change this record: most of thousands need no look at every tick. */
const waitsForTime = ({ instance, breaker, flap }: Record): boolean =>
  instance.state === 'probation' ||
  breaker.state === 'open' ||
  flap.heldSince !== null ||
  instance.drainDeadline !== undefined ||
  instance.expiresAt !== undefined;

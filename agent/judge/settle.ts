import { advanceBreaker } from '../../shared/breaker.ts';
import type { Change } from '../state.ts';
import { decide } from './decide.ts';
import { settleFlap } from './flap.ts';
import { type Asked, news } from './news.ts';
import { noOutcome, type Outcome, type Policies, type Record } from './record.ts';

export type Book = ReadonlyMap<string, Record>;

export interface Scene {
  book: Book;
  policies: Policies;
  now: number;
}

/** Lets time act, decides the state, and tells what became different. Nothing different: an empty outcome. */
export function settle(before: Record, changed: Record, scene: Scene, asked?: Asked): Outcome {
  const { now } = scene;
  const breaker = advanceBreaker(changed.breaker, now);
  const flap = settleFlap(changed.flap, now);
  const moved =
    breaker === changed.breaker && flap === changed.flap ? changed : { ...changed, breaker, flap };
  const verdict = decide(moved, {
    now,
    slowStartMs: scene.policies[moved.instance.service]?.slowStart ?? 0,
    isLastServing: () => isLastServing(moved, scene.book),
  });
  const old = before.instance;
  if (moved === before && verdict.state === old.state && verdict.reason === old.reason) return noOutcome();

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
function isLastServing({ instance }: Record, book: Book): boolean {
  for (const { instance: other } of book.values()) {
    if (other.service !== instance.service || other.id === instance.id) continue;
    if (other.state === 'up' || other.state === 'probation') return false;
  }
  return true;
}

function differences(before: Record, after: Record, now: number, asked: Asked | undefined): Change[] {
  const [old, instance] = [before.instance, after.instance];
  const changes: Change[] = [];
  const note = (kind: Change['kind'], from: string, to: string, why: Asked) => {
    if (from !== to) changes.push(news(after, kind, now, why, { from, to }));
  };
  note('admin', old.admin, instance.admin, asked ?? { reason: instance.reason });
  note('weight', String(old.weight), String(instance.weight), asked ?? { reason: 'weight changed' });
  note('health', old.health, instance.health, { reason: after.tally.because });
  note('breaker', old.breaker, instance.breaker, { reason: breakerWords(after) });
  note('state', old.state, instance.state, { reason: instance.reason });
  return changes;
}

function breakerWords({ breaker }: Record): string {
  if (breaker.state === 'open') return breaker.why;
  return breaker.state === 'half_open'
    ? 'open time is over: a few calls on trial'
    : 'nothing is held against it any more';
}

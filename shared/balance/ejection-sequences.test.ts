import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EJECTION, isEjected, recordFailure, recordSuccess } from '../ejection.ts';
import type { InstanceState } from '../snapshot/snapshot.ts';
import { type Candidate, countServing, newIsolateState, toCandidate } from './candidate.ts';
import { buildPool, pickFrom } from './pool.ts';

type Step =
  | { kind: 'fail' | 'succeed'; at: number; times: number }
  | { kind: 'state'; at: number; state: InstanceState }
  | { kind: 'wait'; ms: number };

const index = fc.nat(6);
const steps = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('fail' as const),
        at: index,
        times: fc.integer({ min: 1, max: 9 }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant('succeed' as const), at: index, times: fc.constant(1) }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('state' as const),
        at: index,
        state: fc.constantFrom<InstanceState>('up', 'up', 'down', 'draining', 'probation'),
      }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(120_000) }) },
  ),
  { minLength: 20, maxLength: 150 },
);

const isolateStates = (count: number) => Array.from({ length: count }, newIsolateState);
type Locals = ReturnType<typeof isolateStates>;

/** The instances after a new snapshot; what the isolate knows about them stays. */
const candidatesOf = (states: readonly InstanceState[], locals: Locals): Candidate[] =>
  states.map((state, at) =>
    toCandidate(
      { id: `i${at}`, url: 'http://x', state, reason: '', since: 0 },
      { service: 's', site: 'main', direct: null },
      locals[at] ?? newIsolateState(),
    ),
  );

/** One failure, and what must hold for the ejection that it may cause. */
function failOnce(candidates: readonly Candidate[], failed: Candidate, now: number): void {
  const { ejection } = failed.local;
  const before = { ...ejection };
  recordFailure(ejection, now, () => countServing(candidates, failed, now));
  if (isEjected(before, now)) {
    expect(ejection).toEqual(before);
    return;
  }
  if (!isEjected(ejection, now)) return;
  const { serving, ejected, includesInstance } = countServing(candidates, failed, now);
  if (includesInstance) expect(ejected).toBeLessThanOrEqual(serving / 2);
  expect(serving - ejected).toBeGreaterThan(0);
  const forgiven = Math.floor((now - before.ejectedUntil) / EJECTION.forgiveMs);
  expect(ejection.ejectionCount).toBe(Math.max(0, before.ejectionCount - forgiven) + 1);
  expect(ejection.ejectedUntil - now).toBe(
    Math.min(EJECTION.maxMs, EJECTION.baseMs * ejection.ejectionCount),
  );
}

/** What a request gets: an ejected instance only when nothing else is left. */
function checkPick(candidates: readonly Candidate[], now: number): void {
  const policy = { strategy: 'random', slowStart: 0, mayPanic: true } as const;
  const pool = buildPool([...candidates], policy, { cursor: 0 }, now);
  const picked = pickFrom(pool, [], { now, random: () => 0.5, keyHash: 0 });
  const up = candidates.filter(({ state }) => state === 'up');
  if (up.length > 0) expect(picked).not.toBeNull();
  if (picked?.why === 'ejected') expect(up.every(({ local }) => isEjected(local.ejection, now))).toBe(true);
}

function runSteps(list: readonly Step[], count: number): void {
  const locals = isolateStates(count);
  const states = new Array<InstanceState>(count).fill('up');
  let now = 1_700_000_000_000;
  for (const step of list) {
    const candidates = candidatesOf(states, locals);
    if (step.kind === 'wait') now += step.ms;
    else if (step.kind === 'state') states[step.at % count] = step.state;
    else {
      const one = candidates[step.at % count] as Candidate;
      if (step.kind === 'succeed') recordSuccess(one.local.ejection);
      else for (let i = 0; i < step.times; i++) failOnce(candidates, one, now);
    }
    checkPick(candidatesOf(states, locals), now);
  }
}

test('after any sequence of failures, successes, snapshots and pauses: at most half is ejected, and one always serves', () => {
  fc.assert(fc.property(steps, fc.integer({ min: 1, max: 7 }), runSteps), { seed: 7, numRuns: 200 });
});

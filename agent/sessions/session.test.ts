import { expect, test } from 'vitest';
import { createMessageSigner } from '../lib/message-signer.ts';
import {
  applyCommand,
  type GovernanceSession,
  MAX_DATA_BYTES,
  MAX_STEPS,
  type SessionCommand,
} from './session.ts';
import { parseSession, serializeSession } from './session-cache.ts';

const session: GovernanceSession = {
  id: '019ac000-0000-7000-8000-000000000000',
  workflowType: 'policy_creation',
  userId: 'u',
  state: 'active',
  currentStep: 'initial',
  completedSteps: [],
  stepDurations: {},
  stepStartedAt: 0,
  data: { a: 1 },
  metadata: {},
  pins: { gs: 'gs-1' },
  moves: [],
  createdAt: 0,
  lastActivity: 0,
  totalDuration: null,
  reason: null,
  version: 1,
};

const run = (from: GovernanceSession, now: number, ...commands: SessionCommand[]): GovernanceSession =>
  commands.reduce((current, command) => {
    const next = applyCommand(current, command, now);
    if (!next.ok) throw new Error(next.why);
    return next.session;
  }, from);

test('leaving a step completes it and adds its time; a step taken twice gets both times', () => {
  const drafted = run(session, 2_000, { do: 'advance', step: 'draft', data: { b: 2 } });
  expect(drafted).toMatchObject({
    currentStep: 'draft',
    completedSteps: ['initial'],
    stepDurations: { initial: 2 },
    data: { a: 1, b: 2 },
    version: 2,
  });
  const back = run(run(drafted, 5_000, { do: 'advance', step: 'review' }), 6_000, {
    do: 'advance',
    step: 'draft',
  });
  const done = run(back, 10_000, { do: 'complete' });
  expect(done).toMatchObject({
    state: 'completed',
    completedSteps: ['initial', 'draft', 'review'],
    stepDurations: { initial: 2, draft: 7, review: 1 },
    totalDuration: 10,
    version: 5,
  });
});

test('a step may be named like an inherited property', () => {
  const named = run(session, 1_000, { do: 'advance', step: 'constructor' });
  const next = run(named, 3_000, { do: 'advance', step: '__proto__' });
  const done = run(next, 6_000, { do: 'complete' });
  expect(Object.entries(done.stepDurations)).toEqual([
    ['initial', 1],
    ['constructor', 2],
    ['__proto__', 3],
  ]);
  expect(done.completedSteps).toEqual(['initial', 'constructor', '__proto__']);
});

test('a command in the wrong state is refused with the reason', () => {
  const suspended = run(session, 1, { do: 'suspend', reason: 'waiting for a vote' });
  expect(suspended).toMatchObject({ state: 'suspended', reason: 'waiting for a vote' });
  expect(applyCommand(suspended, { do: 'advance', step: 'x' }, 2)).toEqual({
    ok: false,
    kind: 'conflict',
    why: 'cannot advance: the session is suspended',
  });
  expect(run(suspended, 2, { do: 'resume' })).toMatchObject({ state: 'active', reason: null, version: 3 });
  const failed = run(suspended, 2, { do: 'fail', reason: 'rejected' });
  for (const command of [{ do: 'resume' }, { do: 'complete' }, { do: 'fail' }] as const) {
    expect(applyCommand(failed, command, 3).ok).toBe(false);
  }
});

test('an idle session refuses commands; a suspended one may wait longer', () => {
  const hour = 3_600_000;
  expect(applyCommand(session, { do: 'advance', step: 'x' }, hour - 1).ok).toBe(true);
  expect(applyCommand(session, { do: 'advance', step: 'x' }, hour)).toMatchObject({ ok: false });
  expect(applyCommand({ ...session, state: 'suspended' }, { do: 'resume' }, 24 * hour).ok).toBe(true);
});

test('a copy reads back complete; a changed, unsigned or old one reads as null', () => {
  const signer = createMessageSigner(['a-random-key-of-at-least-32-characters'], 3_600_000);
  const signing = { signer, now: 1_000 };
  const copy = serializeSession(session, signing);
  expect(parseSession(copy, signing)).toEqual(session);
  for (const forged of [
    copy.replace('"active"', '"completed"'),
    copy.replace(/,"signature":"[^"]*"/, ''),
    '{"session_id":"x"}',
    'null',
    'nonsense',
  ]) {
    expect(parseSession(forged, signing), forged).toBeNull();
  }
  expect(parseSession(copy, { signer, now: 3_601_000 })).toBeNull();
});

test('a session stays within its size limits', () => {
  let grown = session;
  for (let step = 0; step < MAX_STEPS; step++) grown = run(grown, 1, { do: 'advance', step: `s${step}` });
  expect(applyCommand(grown, { do: 'advance', step: 'one more' }, 1)).toMatchObject({
    ok: false,
    kind: 'full',
    why: expect.stringContaining(`at most ${MAX_STEPS} distinct steps`),
  });
  expect(applyCommand(grown, { do: 'complete' }, 1).ok).toBe(true);

  const half = 'ä'.repeat(MAX_DATA_BYTES / 4);
  const one = run(session, 1, { do: 'advance', step: 'a', data: { one: half } });
  for (const command of [{ do: 'advance', step: 'b' }, { do: 'complete' }] as const) {
    const more = { ...command, data: { two: half } };
    expect(applyCommand(one, more, 1)).toMatchObject({ ok: false, kind: 'full' });
    expect(run(one, 1, { ...command, data: { one: half } }).version).toBe(3);
  }
});

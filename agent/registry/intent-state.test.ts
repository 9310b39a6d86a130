import { expect, test } from 'vitest';
import type { Intent } from './intent.ts';
import { type IntentEvent, type IntentState, intentStatus, stepIntent } from './intent-state.ts';

const NONE: IntentState = { intent: undefined, heardElsewhere: false };
const registration = {
  id: 'gs-1',
  service: 'gs',
  url: 'http://127.0.0.1:8004',
  weight: 100,
  priority: 1,
  ttl: 10_000,
  metadata: {},
};
const requested = (changes: Partial<Intent>): IntentEvent => ({ kind: 'requested', changes, by: 'ada' });
const active = stepIntent(NONE, requested({ registration }), 1_000).state;
const expired = stepIntent(
  active,
  {
    kind: 'changed',
    change: { at: 20_000, service: 'gs', instance: 'gs-1', kind: 'deregistered', reason: 'expired' },
  },
  20_000,
).state;

/** The state and the kinds of effects after one event. */
function step(state: IntentState, event: IntentEvent, now: number) {
  const { state: next, effects } = stepIntent(state, event, now);
  return { next, status: intentStatus(next.intent), effects: effects.map(({ kind }) => kind) };
}

test('a request is published and applied, and replaces a removal', () => {
  expect(step(NONE, requested({ weight: 5 }), 1_000)).toMatchObject({
    status: 'active',
    effects: ['publish', 'apply'],
  });
  const removed = stepIntent(active, requested({ registration: undefined, removed: true }), 2_000).state;
  expect(intentStatus(removed.intent)).toBe('removed');
  expect(step(removed, requested({ registration }), 3_000).status).toBe('active');
});

test('a request is newer than the previous one, even if that came from an agent whose clock is ahead', () => {
  const ahead: IntentState = { intent: { by: 'other', updatedAt: 9_000 }, heardElsewhere: false };
  expect(step(ahead, requested({ weight: 5 }), 1_000).next.intent?.updatedAt).toBe(9_001);
});

test('only a newer heartbeat of another agent restores an expired registration', () => {
  expect(intentStatus(expired.intent)).toBe('expired');
  const theirs = { ...active.intent, by: 'ada', updatedAt: 1_000 };
  expect(step(expired, { kind: 'merged', theirs: { ...theirs, beatenAt: 900 } }, 21_000)).toMatchObject({
    status: 'expired',
    effects: [],
  });
  expect(step(expired, { kind: 'merged', theirs: { ...theirs, beatenAt: 15_000 } }, 21_000)).toMatchObject({
    status: 'active',
    effects: ['apply', 'save'],
    next: { heardElsewhere: true },
  });
});

test('a heartbeat is published but not saved, and ends the credit for heartbeats to the other agent', () => {
  const elsewhere = { ...active, heardElsewhere: true };
  expect(step(elsewhere, { kind: 'heartbeat' }, 5_000)).toMatchObject({
    effects: ['heartbeat', 'publish'],
    next: { heardElsewhere: false, intent: { beatenAt: 5_000 } },
  });
});

test('a newer registration with another body starts the instance over', () => {
  const theirs = {
    by: 'bob',
    updatedAt: 2_000,
    registration: { ...registration, url: 'http://127.0.0.1:9000' },
  };
  expect(step(active, { kind: 'merged', theirs }, 3_000).effects).toEqual(['deregister', 'apply', 'save']);
});

import { expect, test } from 'vitest';
import {
  HUB_INTERVAL_MS,
  HUB_SILENCE_MS,
  initialLeaderState,
  type LeaderEffect,
  type LeaderEvent,
  type LeaderState,
  stepLeader,
} from './leader-state.ts';

/** Applies events one after another at the given times and returns the kinds of all effects. */
function play(events: readonly [number, LeaderEvent][], from: LeaderState = initialLeaderState) {
  let state = from;
  const effects: LeaderEffect[] = [];
  for (const [at, event] of events) {
    const result = stepLeader(state, event, at);
    state = result.state;
    effects.push(...result.effects);
  }
  return { state, effects: effects.map(({ kind }) => kind) };
}

const held: LeaderEvent = { kind: 'lease-answered', held: true, holder: 'one' };
const standby: LeaderEvent = { kind: 'lease-answered', held: false, holder: 'two' };
const failed: LeaderEvent = { kind: 'lease-failed', error: 'connection refused' };
const hubDue: LeaderEvent = { kind: 'hub-due' };
const order = (seq: number): LeaderEvent => ({ kind: 'hub-answered', order: { epoch: 1, seq } });

test('the agent that holds the lease leads, and reports each change of its role once', () => {
  const { state, effects } = play([
    [0, held],
    [1_000, held],
    [2_000, standby],
  ]);
  expect(state).toMatchObject({ role: 'standby', holder: 'two' });
  expect(effects).toEqual(['role-changed', 'role-changed']);
});

test('while the lease is unavailable, the leader stays leader and publishes a heartbeat every five seconds', () => {
  const { state, effects } = play([
    [0, held],
    [1_000, failed],
    [1_000, hubDue],
    [2_000, failed],
    [2_000, hubDue],
    [1_000 + HUB_INTERVAL_MS, hubDue],
  ]);
  expect(state.role).toBe('leader');
  expect(effects).toEqual(['role-changed', 'lease-lost', 'publish-heartbeat', 'publish-heartbeat']);
});

test('a standby takes over only after the edge has had nothing newer for fifteen seconds', () => {
  const silent = play([
    [0, standby],
    [1_000, failed],
    [1_000, hubDue],
    [1_000, order(1)],
    [9_000, order(2)],
    [9_000 + HUB_SILENCE_MS - 1, order(2)],
  ]);
  expect(silent.state.role).toBe('standby');
  const taken = play([[9_000 + HUB_SILENCE_MS, order(2)]], silent.state);
  expect(taken.state.role).toBe('leader');
  expect(taken.effects).toEqual(['takeover', 'role-changed']);
});

test('an edge that cannot be read, or a lease that comes back, restarts the silence', () => {
  const events = (between: LeaderEvent): [number, LeaderEvent][] => [
    [0, failed],
    [0, order(1)],
    [10_000, between],
    [10_000, failed],
    [20_000, order(1)],
  ];
  expect(play(events({ kind: 'hub-failed' })).state.role).toBe('standby');
  expect(play(events(standby)).state.role).toBe('standby');
});

test('a closed agent releases the lease if it led, and never leads again', () => {
  const { state, effects } = play([
    [0, held],
    [1, { kind: 'closed' }],
    [2, held],
  ]);
  expect(state).toEqual({ role: 'closed' });
  expect(effects).toEqual(['role-changed', 'release-lease']);
});

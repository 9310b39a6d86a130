import { expect, test } from 'vitest';
import { sampleInstance } from '../../test/harness/instance.ts';
import { uuid7 } from '../lib/uuid7.ts';
import { initialPinState, type PinEvent, type PinState, step } from './pin-state.ts';

const id = uuid7(1_000);

/** Feeds events to `step`. `down` takes an instance out, `leads` changes the role. */
function start({ leads = true } = {}) {
  let state: PinState = initialPinState();
  const down = new Set<string>();
  const context = {
    now: 2_000,
    leads,
    instances: () =>
      ['gs-1', 'gs-2', 'gs-3'].map((name) =>
        sampleInstance({ id: name, state: down.has(name) ? 'down' : 'up' }),
      ),
  };
  const send = (event: PinEvent) => {
    const next = step(state, event, context);
    state = next.state;
    return next.effects.filter(({ kind }) => kind !== 'publish-overrides');
  };
  return { send, down, context, phase: () => state.phase.name, pins: () => state.sessions.get(id)?.pins };
}

/** A leader that has read one session pinned to gs-1. */
function startedLeader() {
  const keeper = start();
  keeper.send({ kind: 'sweep' });
  keeper.send({ kind: 'expired', ids: [] });
  keeper.send({ kind: 'loaded', sessions: [{ id, pins: { gs: 'gs-1' } }] });
  return keeper;
}

test('a sweep of the leader expires, reads and returns to idle', () => {
  const { send, phase } = start();
  expect(send({ kind: 'sweep' })).toMatchObject([{ kind: 'expire', idle: [{ state: 'active' }, {}] }]);
  expect(phase()).toBe('expiring');
  expect(send({ kind: 'expired', ids: [] })).toMatchObject([{ kind: 'load' }]);
  expect(phase()).toBe('reading');
  expect(send({ kind: 'loaded', sessions: [] })).toEqual([]);
  expect(phase()).toBe('idle');
});

test('a standby expires nothing and writes nothing', () => {
  const { send, down, phase, pins } = start({ leads: false });
  expect(send({ kind: 'sweep' })).toMatchObject([{ kind: 'load' }]);
  send({ kind: 'loaded', sessions: [{ id, pins: { gs: 'gs-1' } }] });
  down.add('gs-1');
  expect(send({ kind: 'instances-changed' })).toEqual([]);
  expect(phase()).toBe('idle');
  expect(pins()?.gs).not.toBe('gs-1');
});

test('a failed instance moves its sessions; a second change during the save is saved afterwards', () => {
  const { send, down, pins } = startedLeader();
  down.add('gs-1');
  const [first] = send({ kind: 'instances-changed' });
  const second = pins()?.gs ?? '';
  expect(first).toMatchObject({ kind: 'save', batch: [{ id, moves: [{ from: 'gs-1', to: second }] }] });
  down.add(second);
  expect(send({ kind: 'instances-changed' })).toEqual([]);
  const [next] = send({ kind: 'saved', unsaved: [] });
  expect(next).toMatchObject({ kind: 'save', batch: [{ id, moves: [{ from: second, to: pins()?.gs }] }] });
  expect(send({ kind: 'saved', unsaved: [] })).toEqual([]);
});

test('a pin that the database did not accept is saved with the next change', () => {
  const { send, down, phase } = startedLeader();
  down.add('gs-1');
  const [save] = send({ kind: 'instances-changed' });
  if (save?.kind !== 'save') throw new Error('no save');
  expect(send({ kind: 'saved', unsaved: save.batch })).toEqual([]);
  expect(phase()).toBe('idle');
  expect(send({ kind: 'save-requested' })).toEqual([save]);
});

test('a session that changes while its move is being saved keeps the move', () => {
  const { send, down, pins } = startedLeader();
  down.add('gs-1');
  send({ kind: 'instances-changed' });
  const moved = pins()?.gs;
  send({ kind: 'session-changed', session: { id, state: 'active', pins: { gs: 'gs-1' } } });
  expect(pins()?.gs).toBe(moved);
  send({ kind: 'saved', unsaved: [] });
  expect(send({ kind: 'instances-changed' })).toEqual([]);
});

test('a new leader reads before it writes, and drops moves that are older than what it reads', () => {
  const { send, down, context, pins } = start({ leads: false });
  send({ kind: 'sweep' });
  send({ kind: 'loaded', sessions: [{ id, pins: { gs: 'gs-1' } }] });
  context.leads = true;
  down.add('gs-1');
  expect(send({ kind: 'instances-changed' })).toMatchObject([{ kind: 'load' }]);
  expect(send({ kind: 'loaded', sessions: [{ id, pins: { gs: 'gs-3' } }] })).toEqual([]);
  expect(pins()).toEqual({ gs: 'gs-3' });
});

test('a failed read ends the sweep; a change meanwhile is still saved', () => {
  const { send, down, phase } = startedLeader();
  send({ kind: 'sweep' });
  down.add('gs-1');
  expect(send({ kind: 'instances-changed' })).toEqual([]);
  expect(send({ kind: 'failed' })).toMatchObject([{ kind: 'save', batch: [{ id }] }]);
  expect(phase()).toBe('saving');
});

test('a session that ends is forgotten', () => {
  const { send, down, pins } = startedLeader();
  send({ kind: 'session-changed', session: { id, state: 'completed', pins: { gs: 'gs-1' } } });
  expect(pins()).toBeUndefined();
  down.add('gs-1');
  expect(send({ kind: 'instances-changed' })).toEqual([]);
});

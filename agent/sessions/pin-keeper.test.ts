import pino from 'pino';
import { expect, test } from 'vitest';
import { eventually } from '../../test/harness/eventually.ts';
import { sampleInstance } from '../../test/harness/instance.ts';
import { uuid7 } from '../lib/uuid7.ts';
import { createMemoryLiveState } from '../live/memory.ts';
import { createPinKeeper } from './pin-keeper.ts';
import { createPlacement } from './placement.ts';
import type { GovernanceSession } from './session.ts';
import type { SessionStore } from './store.ts';

const id = uuid7(1_000);
const session = { id, state: 'active', pins: { gs: 'gs-1' } } as unknown as GovernanceSession;

const ownInstance = () =>
  createPlacement(
    ['gs-1', 'gs-2'].map((name) => sampleInstance({ id: name })),
    2_000,
  ).instanceFor(id, 'gs');

/** A keeper whose reads return when the test releases them. */
function open(leads = () => true) {
  const reads: ((sessions: { id: string; pins: Record<string, string> }[]) => void)[] = [];
  const saved: unknown[] = [];
  const published: unknown[] = [];
  const store: Partial<SessionStore> = {
    listOpen: () => new Promise((resolve) => reads.push(resolve)),
    expire: async () => [],
    async savePins(_id, pins, moves) {
      saved.push({ pins, from: moves.map(({ from }) => from) });
    },
  };
  const instances = new Map(['gs-1', 'gs-2'].map((name) => [`gs/${name}`, sampleInstance({ id: name })]));
  const keeper = createPinKeeper({
    store: store as SessionStore,
    live: createMemoryLiveState(),
    instances: () => instances,
    log: pino({ level: 'silent' }),
    isLeader: leads,
    now: () => 2_000,
    onOverrides: () => published.push(keeper.overrides()),
  });
  const takeDown = (name: string) => {
    instances.set(`gs/${name}`, sampleInstance({ id: name, state: 'down' }));
    keeper.instancesChanged();
  };
  /** Waits for a read, runs `meanwhile`, and returns `loaded`. */
  const answer = async (loaded: { id: string; pins: Record<string, string> }[], meanwhile = () => {}) => {
    await eventually(() => expect(reads).not.toEqual([]));
    meanwhile();
    reads.shift()?.(loaded);
  };
  return { keeper, answer, takeDown, saved, published };
}

test('a session created during a read is kept, and the older read does not change it', async () => {
  for (const loaded of [[], [{ id, pins: { gs: 'gs-2' } }]]) {
    const { keeper, answer, takeDown, saved } = open();
    await answer(loaded, () => keeper.sessionChanged(session));
    await keeper.close();
    takeDown('gs-1');
    await eventually(() => expect(saved).toEqual([{ pins: { gs: 'gs-2' }, from: ['gs-1'] }]));
  }
});

test('an agent that becomes leader during a read reads again before it writes', async () => {
  let leads = false;
  const { keeper, answer, takeDown, saved } = open(() => leads);
  await answer([{ id, pins: { gs: 'gs-1' } }], () => {
    leads = true;
  });
  takeDown('gs-1');
  await answer([{ id, pins: { gs: 'gs-2' } }]);
  await keeper.close();
  expect(saved).toEqual([]);
});

test('an override is published at once, and once', async () => {
  const { keeper, answer, published } = open();
  await answer([]);
  const [other] = ['gs-1', 'gs-2'].filter((name) => name !== ownInstance());
  for (const gs of [ownInstance(), other, other]) {
    keeper.sessionChanged({ ...session, pins: { gs } } as GovernanceSession);
    keeper.instancesChanged();
  }
  expect(published).toEqual([{ [id]: { gs: other } }]);
  // A completed session needs no override.
  keeper.sessionChanged({ ...session, state: 'completed' });
  keeper.instancesChanged();
  expect(published).toHaveLength(1);
  await keeper.close();
});

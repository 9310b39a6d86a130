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

/** A keeper whose reads answer when and what the test says. */
function open(leads = () => true) {
  const reads: ((sessions: { id: string; pins: Record<string, string> }[]) => void)[] = [];
  const saved: unknown[] = [];
  const told: unknown[] = [];
  const store: Partial<SessionStore> = {
    listOpen: () => new Promise((resolve) => reads.push(resolve)),
    expire: async () => [],
    async savePins(_id, pins, moves) {
      saved.push({ pins, from: moves.map(({ from }) => from) });
    },
  };
  const instances = new Map(['gs-1', 'gs-2'].map((name) => [`gs/${name}`, sampleInstance({ id: name })]));
  const keeper = createPinKeeper({
    ...{ store: store as SessionStore, live: createMemoryLiveState(), instances: () => instances },
    ...{ log: pino({ level: 'silent' }), isLeader: leads, now: () => 2_000 },
    onOverrides: () => told.push(keeper.overrides()),
  });
  const fall = (name: string) => {
    instances.set(`gs/${name}`, sampleInstance({ id: name, state: 'down' }));
    keeper.instancesChanged();
  };
  /** Answers a read, once one is under way; `meanwhile` comes before the answer. */
  const answer = async (brought: { id: string; pins: Record<string, string> }[], meanwhile = () => {}) => {
    await eventually(() => expect(reads).not.toEqual([]));
    meanwhile();
    reads.shift()?.(brought);
  };
  return { keeper, answer, fall, saved, told };
}

test('a session that is made while the open ones are read is looked after, and an older read changes nothing about it', async () => {
  for (const brought of [[], [{ id, pins: { gs: 'gs-2' } }]]) {
    const { keeper, answer, fall, saved } = open();
    await answer(brought, () => keeper.sessionChanged(session));
    await keeper.close();
    fall('gs-1');
    await eventually(() => expect(saved).toEqual([{ pins: { gs: 'gs-2' }, from: ['gs-1'] }]));
  }
});

test('who begins to lead while it reads reads again before it writes', async () => {
  let leads = false;
  const { keeper, answer, fall, saved } = open(() => leads);
  await answer([{ id, pins: { gs: 'gs-1' } }], () => {
    leads = true;
  });
  fall('gs-1');
  await answer([{ id, pins: { gs: 'gs-2' } }]);
  await keeper.close();
  expect(saved).toEqual([]);
});

test('a pin that the id alone does not tell is told of at once, and once', async () => {
  const { keeper, answer, told } = open();
  await answer([]);
  const [other] = ['gs-1', 'gs-2'].filter((name) => name !== ownInstance());
  for (const gs of [ownInstance(), other, other]) {
    keeper.sessionChanged({ ...session, pins: { gs } } as GovernanceSession);
    keeper.instancesChanged();
  }
  expect(told).toEqual([{ [id]: { gs: other } }]);
  // It ends: nobody asks for it any more.
  keeper.sessionChanged({ ...session, state: 'completed' });
  keeper.instancesChanged();
  expect(told).toHaveLength(1);
  await keeper.close();
});

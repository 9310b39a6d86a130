import pino from 'pino';
import { expect, test } from 'vitest';
import { eventually } from '../../test/harness/eventually.ts';
import { sampleInstance } from '../../test/harness/instance.ts';
import { createMemoryLive } from '../live/memory.ts';
import { createPinKeeper } from './pin-keeper.ts';
import type { Session } from './session.ts';
import type { SessionStore } from './store.ts';
import { uuid7 } from './uuid7.ts';

const id = uuid7(1_000);
const session = { id, state: 'active', pins: { gs: 'gs-1' } } as unknown as Session;

/** A keeper whose reads answer when and what the test says. */
function open(leads = () => true) {
  const reads: ((sessions: { id: string; pins: Record<string, string> }[]) => void)[] = [];
  const saved: unknown[] = [];
  const store: Partial<SessionStore> = {
    open: () => new Promise((resolve) => reads.push(resolve)),
    expire: async () => [],
    async savePins(_id, pins, moves) {
      saved.push({ pins, from: moves.map(({ from }) => from) });
    },
  };
  const instances = new Map(['gs-1', 'gs-2'].map((name) => [`gs/${name}`, sampleInstance({ id: name })]));
  const keeper = createPinKeeper({
    ...{ store: store as SessionStore, live: createMemoryLive(), instances: () => instances },
    ...{ log: pino({ level: 'silent' }), isLeader: leads, now: () => 2_000 },
  });
  const fall = (name: string) => {
    instances.set(`gs/${name}`, sampleInstance({ id: name, state: 'down' }));
    keeper.changed();
  };
  /** Answers a read, once one is under way; `meanwhile` comes before the answer. */
  const answer = async (brought: { id: string; pins: Record<string, string> }[], meanwhile = () => {}) => {
    await eventually(() => expect(reads).not.toEqual([]));
    meanwhile();
    reads.shift()?.(brought);
  };
  return { keeper, answer, fall, saved };
}

test('a session that is made while the open ones are read is looked after, and an older read changes nothing about it', async () => {
  for (const brought of [[], [{ id, pins: { gs: 'gs-2' } }]]) {
    const { keeper, answer, fall, saved } = open();
    await answer(brought, () => keeper.note(session));
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

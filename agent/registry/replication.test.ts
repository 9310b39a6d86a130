import pino from 'pino';
import { expect, test } from 'vitest';
import { eventually } from '../../test/harness/eventually.ts';
import { createMessageSigner } from '../lib/message-signer.ts';
import type { Intent } from './intent.ts';
import { startReplication } from './replication.ts';
import { createSignedIntents, INTENT_MAX_AGE_MS } from './signed-intents.ts';

const DAY_MS = 86_400_000;
const removal = (updatedAt: number): Intent => ({ by: 'test', updatedAt, removed: true });

test('an old removal is deleted from the store, is not merged, and does not come back', async () => {
  const now = () => DAY_MS + 1;
  const signer = createMessageSigner(['a-random-key-of-at-least-32-characters'], INTENT_MAX_AGE_MS);
  const signed = createSignedIntents(signer, 'main', now);
  const stored = new Map([
    ['gs/old', signed.write('gs/old', removal(0))],
    ['gs/new', signed.write('gs/new', removal(DAY_MS))],
    ['gs/forged', JSON.stringify(removal(DAY_MS))],
  ]);
  const merged: string[][] = [];
  const replication = startReplication({
    live: {
      readIntents: async () => Object.fromEntries(stored),
      async writeIntent(key, json) {
        if (json === null) stored.delete(key);
        else stored.set(key, json);
      },
      subscribe: () => () => {},
    },
    signed,
    localIntents: () => new Map([['gs/old', removal(0)]]),
    merge: (theirs) => void merged.push([...theirs.keys()]),
    log: pino({ level: 'silent' }),
    now,
  });
  await eventually(() => expect(merged).toEqual([['gs/new']]));
  await replication.close();
  expect([...stored.keys()]).toEqual(['gs/new', 'gs/forged']);
});

import pino from 'pino';
import { expect, test } from 'vitest';
import { createSharedSilences } from './shared-silences.ts';
import type { Silence } from './silences.ts';

function open() {
  const stored = new Map<string, Silence>();
  let saving: Promise<void> = Promise.resolve();
  const silences = createSharedSilences({
    store: {
      silences: async () => [...stored.values()],
      async saveSilence(silence) {
        await saving;
        stored.set(silence.id, silence);
      },
      async removeSilence(id) {
        stored.delete(id);
      },
    },
    log: pino({ level: 'silent' }),
    now: () => 0,
  });
  return {
    silences,
    stored,
    delaySave(until: Promise<void>) {
      saving = until;
    },
  };
}
const fields = { rule: '', service: 'gs', until: 1, reason: 'deploy', createdBy: 'ada' };

test('a silence applies at once and is saved', async () => {
  const { silences, stored } = open();
  const { id } = silences.add(fields);
  expect(silences.silences({ rule: 'p95Ms', service: 'gs' })).toBe(true);
  await silences.synced();
  expect([...stored.keys()]).toEqual([id]);
});

test('a silence removed while it is being saved does not come back', async () => {
  const { silences, stored, delaySave } = open();
  let saved = () => {};
  delaySave(
    new Promise((resolve) => {
      saved = resolve;
    }),
  );
  const { id } = silences.add(fields);
  await new Promise(setImmediate);
  expect(silences.remove(id)).toBe(true);
  saved();
  await silences.synced();
  expect(silences.active()).toEqual([]);
  expect(stored.size).toBe(0);
});

import { expect, test } from 'vitest';
import { createMessageSigner } from '../lib/message-signer.ts';
import type { Intent } from './intent.ts';
import { createSignedIntents, INTENT_MAX_AGE_MS } from './signed-intents.ts';

const KEY = 'a-random-key-of-at-least-32-characters';
const OTHER_KEY = 'another-random-key-of-32-characters-or-more';
const HOUR_MS = 3_600_000;
const START = 1_000_000_000_000;

const intents = (keys: string[], site = 'main', now = START) =>
  createSignedIntents(createMessageSigner(keys, INTENT_MAX_AGE_MS), site, () => now);
const maint: Intent = { by: 'admin', updatedAt: START, admin: { state: 'maint' } };
const registration = {
  id: 'gs-9',
  service: 'gs',
  url: 'http://127.0.0.1:9',
  weight: 100,
  priority: 1,
  metadata: {},
};
const field = 'gs/gs-1';
const signed = intents([KEY]).write(field, maint);
const readsAt = (reader: ReturnType<typeof intents>, value: string, at = field) =>
  reader.read({ [at]: value }).intents.size === 1;

test('accepts an intent that an agent of the site signed, also while the key is replaced', () => {
  const { intents: read, signedAt, ignored } = intents([KEY]).read({ [field]: signed });
  expect([[...read], [...signedAt], ignored]).toEqual([[[field, maint]], [[field, START]], 0]);
  expect(readsAt(intents([OTHER_KEY, KEY]), signed)).toBe(true);
});

test('ignores and counts an intent without a valid signature for this site and instance', () => {
  const forged = [
    JSON.stringify(maint),
    ` ${JSON.stringify(maint)}`,
    '',
    '1.x {}',
    signed.replace('maint', 'ready'),
  ];
  for (const value of forged) {
    const { intents: read, ignored } = intents([KEY]).read({ [field]: value });
    expect([read.size, ignored], value).toEqual([0, 1]);
  }
  expect(readsAt(intents([OTHER_KEY]), signed)).toBe(false);
  expect(readsAt(intents([KEY], 'other'), signed)).toBe(false);
  expect(readsAt(intents([KEY]), signed, 'gs/gs-2')).toBe(false);
});

test('an old signature expires before the removal that it could undo is forgotten', () => {
  expect(INTENT_MAX_AGE_MS + 6 * HOUR_MS).toBeLessThan(24 * HOUR_MS);
  expect(readsAt(intents([KEY], 'main', START + 11 * HOUR_MS), signed)).toBe(true);
  expect(readsAt(intents([KEY], 'main', START + 12 * HOUR_MS), signed)).toBe(false);
  expect(readsAt(intents([KEY], 'main', START - 7 * HOUR_MS), signed)).toBe(false);
});

test.each([
  ['a weight above 256', { weight: 257 }],
  ['a weight of 0', { weight: 0 }],
  ['a priority of 0', { registration: { ...registration, priority: 0 } }],
  ['a registration with a fraction as its weight', { registration: { ...registration, weight: 1.5 } }],
  ['a publicUrl that is not an origin', { registration: { ...registration, publicUrl: 'http://a/b' } }],
  ['a ttl of years', { registration: { ...registration, ttl: 1e12 } }],
  ['a long value of metadata', { registration: { ...registration, metadata: { a: 'x'.repeat(1_025) } } }],
  ['an id with a space', { registration: { ...registration, id: 'a b' } }],
  ['a long author', { by: 'x'.repeat(201) }],
])('refuses %s, like the API', (_, change) => {
  const key = 'registration' in change ? `gs/${change.registration.id}` : field;
  const intent = { by: 'admin', updatedAt: START, ...change } as Intent;
  expect(readsAt(intents([KEY]), intents([KEY]).write(key, intent), key)).toBe(false);
});

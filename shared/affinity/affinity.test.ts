import { expect, test } from 'vitest';
import { newIsolateState, toCandidate } from '../balance/candidate.ts';
import type { SnapshotInstance } from '../snapshot/snapshot.ts';
import { decodePins, encodePins, pinExpiry, withPin } from './pins.ts';
import { compileSessionPlacer } from './session-placement.ts';
import { uuid7Time } from './uuid7.ts';

const NOW = 1_800_000_000_000;

function uuid7(at: number, tail: number): string {
  const time = at.toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${tail.toString(16).padStart(12, '0')}`;
}

const one = (id: string, part: Partial<SnapshotInstance> = {}) =>
  toCandidate(
    { id, url: 'http://x', state: 'up', reason: '', since: NOW - 86_400_000, ...part },
    { service: 's', site: 'main', direct: null },
    newIsolateState(),
  );

const ids = Array.from({ length: 60 }, (_, tail) => uuid7(NOW - 1_000, tail));
const owner = (candidates: ReturnType<typeof one>[], id: string) =>
  compileSessionPlacer(candidates)(id, NOW)?.id;

test('uuid7Time: the time of a UUIDv7, null for other text', () => {
  expect(uuid7Time(uuid7(NOW, 1))).toBe(NOW);
  expect(uuid7Time('0190b5a4-0000-4000-8000-000000000000')).toBeNull();
  expect(uuid7Time('session-1')).toBeNull();
});

test('a governance session moves when its instance goes down, and stays there when it returns', () => {
  const all = [one('a'), one('b'), one('c')];
  const mine = ids.filter((id) => owner(all, id) === 'a');
  expect(mine.length).toBeGreaterThan(5);
  for (const id of ids) {
    const before = owner(all, id);
    const moved = owner([one('a', { state: 'down', since: NOW }), one('b'), one('c')], id);
    if (before !== 'a') expect(moved).toBe(before);
    else expect(['b', 'c']).toContain(moved);
    // Back on probation, then up: it serves since a time after the session began.
    for (const state of ['probation', 'up'] as const) {
      expect(owner([one('a', { state, since: NOW, servingSince: NOW }), one('b'), one('c')], id)).toBe(moved);
    }
  }
  expect(owner([one('a', { since: NOW, servingSince: NOW })], mine[0] ?? '')).toBe('a');
});

test('sessions stay from probation to up; a draining instance keeps its sessions and takes no new one', () => {
  const id = ids.find((each) => owner([one('a'), one('b')], each) === 'a') ?? '';
  const grown = one('a', { since: NOW, servingSince: NOW - 86_400_000 });
  expect(owner([grown, one('b')], id)).toBe('a');
  const draining = one('a', { state: 'draining', since: NOW - 500, servingSince: NOW - 86_400_000 });
  expect(owner([draining, one('b')], id)).toBe('a');
  for (let tail = 0; tail < 30; tail++) expect(owner([draining, one('b')], uuid7(NOW - 100, tail))).toBe('b');
});

test('other ids return to their instance when it returns', () => {
  const all = [one('a'), one('b'), one('c')];
  const id =
    Array.from({ length: 50 }, (_, i) => `plain-${i}`).find((each) => owner(all, each) === 'a') ?? '';
  expect(owner([one('a', { state: 'down', since: NOW }), one('b'), one('c')], id)).not.toBe('a');
  expect(owner([one('a', { since: NOW, servingSince: NOW }), one('b'), one('c')], id)).toBe('a');
});

test('pins: encode and decode; null when expired, foreign or too long', () => {
  const pins = withPin(null, 'gs', 'gs-1', pinExpiry(NOW, 3_600_000));
  const text = encodePins(pins) ?? '';
  expect(decodePins(text, NOW)).toEqual(pins);
  expect(decodePins(text, pins.expires)).toBeNull();
  expect(decodePins('{"a":1}', NOW)).toBeNull();
  expect(decodePins('nonsense', NOW)).toBeNull();
  expect(
    encodePins({
      ...pins,
      instances: Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`s${i}`, `instance-${i}`])),
    }),
  ).toBeNull();
});

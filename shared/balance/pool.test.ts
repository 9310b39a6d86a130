import { expect, test } from 'vitest';
import { EJECTION, recordFailure } from '../ejection.ts';
import type { SnapshotInstance } from '../snapshot/snapshot.ts';
import { type Candidate, newIsolateState, toCandidate } from './candidate.ts';
import { buildPool, pickFrom, slowStartShare } from './pool.ts';

const NOW = 1_000_000;
const POLICY = { strategy: 'random', slowStart: 30_000, mayPanic: true } as const;

function one(id: string, part: Partial<SnapshotInstance> = {}): Candidate {
  const line: SnapshotInstance = { id, url: 'http://x', state: 'up', reason: '', since: 0, ...part };
  return toCandidate(line, { service: 's', site: 'main', direct: null }, newIsolateState());
}

/** A seeded generator: the same picks in every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return state / 2 ** 32;
  };
}

function shareOf(candidates: Candidate[], picks = 4_000, policy: Parameters<typeof buildPool>[1] = POLICY) {
  const pool = buildPool(candidates, policy, { cursor: 0 }, NOW);
  const counts: Record<string, number> = {};
  const random = seeded(7);
  for (let i = 0; i < picks; i++) {
    const found = pickFrom(pool, [], { now: NOW, random, keyHash: 0 });
    if (found) counts[found.candidate.id] = (counts[found.candidate.id] ?? 0) + 1 / picks;
  }
  return counts;
}

test('backups get no traffic while level 1 has enough healthy instances', () => {
  const level = ['a', 'b', 'c', 'd'].map((id) => one(id));
  expect(shareOf([...level, one('backup', { priority: 2 })]).backup).toBeUndefined();
});

test('traffic beyond the capacity of level 1 goes to level 2: 30 % with one of two down', () => {
  const found = shareOf([one('a'), one('b', { state: 'down' }), one('backup', { priority: 2 })]);
  expect(found.backup).toBeGreaterThan(0.25);
  expect(found.backup).toBeLessThan(0.35);
  expect(found.b).toBeUndefined();
});

test('a level without healthy instances leaves all traffic to the next, without panic', () => {
  const dead = [one('a', { state: 'down' }), one('b', { state: 'down' })];
  const pool = buildPool([...dead, one('backup', { priority: 2 })], POLICY, { cursor: 0 }, NOW);
  expect(pool.panic).toBe(false);
  expect(shareOf([...dead, one('backup', { priority: 2 })])).toEqual({ backup: expect.closeTo(1, 5) });
});

test('panic below half: ignores health, obeys the admin state', () => {
  const found = shareOf([
    one('up'),
    one('down-1', { state: 'down' }),
    one('down-2', { state: 'down', breaker: 'open' }),
    one('maint', { state: 'down', admin: 'maint' }),
    one('drain', { state: 'draining', admin: 'drain' }),
  ]);
  expect(Object.keys(found).sort()).toEqual(['down-1', 'down-2', 'up']);
});

test('no panic at exactly half, or with circuit_break', () => {
  expect(Object.keys(shareOf([one('a'), one('b', { state: 'down' })]))).toEqual(['a']);
  expect(shareOf([one('a', { state: 'down' })], 10, { ...POLICY, mayPanic: false })).toEqual({});
});

test('probation: starts at a tenth and grows; a half-open breaker stays at a tenth', () => {
  const young = one('a', { state: 'probation', since: NOW - 1_000 });
  expect(slowStartShare(young, 30_000, NOW)).toBe(0.1);
  expect(slowStartShare(young, 30_000, NOW + 14_000)).toBe(0.5);
  expect(slowStartShare(young, 30_000, NOW + 60_000)).toBe(1);
  expect(slowStartShare(one('a', { state: 'probation', breaker: 'half_open' }), 30_000, NOW + 60_000)).toBe(
    0.1,
  );
  const found = shareOf([young, one('b')], 20_000);
  expect(found.a).toBeGreaterThan(0.07);
  expect(found.a).toBeLessThan(0.11);
});

test('skips draining and tried instances; picks ejected ones last', () => {
  const [a, b] = [one('a'), one('b')];
  const pool = buildPool([a, b, one('c', { state: 'draining' })], POLICY, { cursor: 0 }, NOW);
  for (let i = 0; i < EJECTION.consecutiveFailures; i++) {
    recordFailure(a.local.ejection, NOW, () => ({ serving: 2, ejected: 0, includesInstance: true }));
  }
  const input = { now: NOW, random: seeded(7), keyHash: 0 };
  for (let i = 0; i < 20; i++) expect(pickFrom(pool, [], input)?.candidate).toBe(b);
  expect(pickFrom(pool, [b], input)).toEqual({ candidate: a, why: 'ejected' });
  expect(pickFrom(pool, [a, b], input)).toBeNull();
});

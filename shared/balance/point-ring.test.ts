import fc from 'fast-check';
import { expect, test } from 'vitest';
import { hashText } from '../hash.ts';
import { type Candidate, newIsolateState, toCandidate } from './candidate.ts';
import { consistentHash } from './consistent-hash.ts';
import type { PoolMember } from './picker.ts';
import { PointRing } from './point-ring.ts';

/** A seeded generator: the same cases in every run. */
const SEEDED = { seed: 7, numRuns: 40 };

function member(id: string, weight = 100): PoolMember {
  const instance = { id, url: 'http://x', state: 'up', reason: '', since: 0, weight } as const;
  const place = { service: 's', site: 'main', direct: null };
  return { candidate: toCandidate(instance, place, newIsolateState()), weight, share: 1 };
}

const weightList = fc.array(fc.integer({ min: 1, max: 256 }), { minLength: 2, maxLength: 200 });
const membersOf = (weights: number[]): PoolMember[] => weights.map((weight, i) => member(`i${i}`, weight));
const keys = Array.from({ length: 400 }, (_, i) => hashText(`key-${i}`));
const owners = (members: PoolMember[]): (string | undefined)[] => {
  const ring = new PointRing(members);
  return keys.map((key) => ring.find(key)?.id);
};

test('a member that leaves moves only its own keys; one that joins only takes keys', () => {
  fc.assert(
    fc.property(weightList, fc.nat(), (weights, n) => {
      const all = membersOf(weights);
      const gone = all[n % all.length]?.candidate.id;
      const before = owners(all);
      const after = owners(all.filter(({ candidate }) => candidate.id !== gone));
      before.forEach((owner, key) => {
        if (owner === gone) expect(after[key]).not.toBe(gone);
        else expect(after[key]).toBe(owner);
      });
    }),
    SEEDED,
  );
});

test('a member whose weight grows takes keys and moves no others; one whose weight falls gives keys only', () => {
  fc.assert(
    fc.property(weightList, fc.nat(), fc.double({ min: 0.1, max: 1, noNaN: true }), (weights, n, share) => {
      const all = membersOf(weights);
      const changed = all[n % all.length];
      const lighter = all.map((one) => (one === changed ? { ...one, weight: one.weight * share } : one));
      const [heavy, light] = [owners(all), owners(lighter)];
      heavy.forEach((owner, key) => {
        if (owner !== changed?.candidate.id) expect(light[key]).toBe(owner);
      });
    }),
    SEEDED,
  );
});

test('a skipped member counts as one that left, and the order of the members does not matter', () => {
  fc.assert(
    fc.property(weightList, fc.nat(), (weights, n) => {
      const all = membersOf(weights);
      const gone = all[n % all.length]?.candidate;
      const ring = new PointRing(all.toReversed());
      const after = owners(all.filter(({ candidate }) => candidate !== gone));
      const found = keys.map(
        (key) => ring.findAmongRest(key, (one) => one === gone, Number.POSITIVE_INFINITY)?.id,
      );
      expect(found).toEqual(after);
    }),
    SEEDED,
  );
});

test('shares of 1,000 members of mixed weight are within 35 % of their weight, and 7 % on average', () => {
  const members = Array.from({ length: 1_000 }, (_, i) => member(`i${i}`, 50 + (i % 4) * 50));
  const ring = new PointRing(members);
  const counts = new Map<Candidate | null, number>();
  const total = 1_000_000;
  for (let key = 0; key < total; key++) {
    const owner = ring.find(hashText(`k${key}`));
    counts.set(owner, (counts.get(owner) ?? 0) + 1);
  }
  const weight = members.reduce((sum, one) => sum + one.weight, 0);
  const errors = members.map((one) => (counts.get(one.candidate) ?? 0) / total / (one.weight / weight) - 1);
  expect(Math.max(...errors.map(Math.abs))).toBeLessThan(0.35);
  expect(Math.sqrt(errors.reduce((sum, error) => sum + error * error, 0) / errors.length)).toBeLessThan(0.07);
});

test('a slot remembers the member that a search finds', () => {
  for (const count of [10, 100, 70_000]) {
    const ring = new PointRing(Array.from({ length: count }, (_, i) => member(`i${i}`)));
    const searched = keys.map((key) => ring.findAmongRest(key, () => false, 0));
    expect(keys.map((key) => ring.find(key))).toEqual(searched);
    expect(keys.map((key) => ring.find(key))).toEqual(searched);
  }
});

test('no member and a single one', () => {
  expect(new PointRing([]).find(1)).toBeNull();
  const only = member('a', 0.1);
  expect(new PointRing([only]).find(1)).toBe(only.candidate);
});

test('one hot key fills no member beyond 1.25 times its share of the requests in flight', () => {
  for (const count of [3, 500]) {
    const members = Array.from({ length: count }, (_, i) => member(`i${i}`, i % 2 ? 200 : 100));
    const pick = consistentHash(members);
    const weight = members.reduce((sum, one) => sum + one.weight, 0);
    for (let sent = 0; sent < 4 * count; sent++) {
      const one = pick({ now: 0, random: () => 0, keyHash: hashText('hot'), skip: () => false });
      if (one) one.local.pending++;
    }
    for (const one of members) {
      const bound = Math.ceil((1.25 * 4 * count * one.weight) / weight);
      expect(one.candidate.local.pending).toBeLessThanOrEqual(bound);
    }
  }
});

test('with nearly all members skipped, picks a remaining one', () => {
  const members = Array.from({ length: 3_000 }, (_, i) => member(`i${i}`));
  const last = members.at(-1)?.candidate;
  const pick = consistentHash(members);
  const input = { now: 0, random: () => 0, keyHash: 1 };
  expect(pick({ ...input, skip: (one) => one !== last })).toBe(last);
  expect(pick({ ...input, skip: () => true })).toBeNull();
});

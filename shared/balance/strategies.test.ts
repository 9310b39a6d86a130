import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Strategy } from '../config/config.ts';
import { hashText } from '../hash.ts';
import { recordLatency } from '../latency.ts';
import { AliasTable } from './alias-table.ts';
import { type Candidate, newIsolateState } from './candidate.ts';
import { rendezvous } from './consistent-hash.ts';
import type { PoolMember } from './picker.ts';
import { createPicker } from './strategies.ts';

const NOW = 1_000_000;
/** A seeded generator: the same cases in every run. */
const SEEDED = { seed: 7 };

function candidate(id: string, part: Partial<Candidate> = {}): Candidate {
  return {
    id,
    key: id,
    service: 's',
    site: 'main',
    direct: 'http://x',
    state: 'up',
    reason: '',
    breaker: 'closed',
    weight: 100,
    share: 1,
    priority: 1,
    since: 0,
    servingSince: 0,
    admin: 'ready',
    latencyMs: undefined,
    hash: hashText(id),
    local: newIsolateState(),
    ...part,
  };
}

const member = (one: Candidate, share = 1): PoolMember => ({
  candidate: one,
  weight: one.weight * share,
  share,
});

/** A seeded generator (mulberry32): the same picks in every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function shares(strategy: Strategy, members: PoolMember[], picks: number, skip = (_: Candidate) => false) {
  const random = seeded(7);
  const pick = createPicker(strategy, members, { cursor: 0 });
  const counts = new Map(members.map(({ candidate: one }) => [one.id, 0]));
  for (let i = 0; i < picks; i++) {
    const one = pick({ now: NOW, random, keyHash: hashText(`key-${i}`), skip });
    if (one) counts.set(one.id, (counts.get(one.id) ?? 0) + 1);
  }
  return members.map(({ candidate: one }) => (counts.get(one.id) ?? 0) / picks);
}

const weights = fc.array(fc.integer({ min: 1, max: 256 }), { minLength: 1, maxLength: 12 });
const byWeight = (list: number[]) => list.map((weight, i) => member(candidate(`i${i}`, { weight })));
const ideal = (list: number[]) => list.map((weight) => weight / list.reduce((sum, one) => sum + one, 0));

/** Rules of every strategy: picks members only, never a skipped one, and null only when all are skipped. */
describe.each<Strategy>([
  'round_robin',
  'weighted_round_robin',
  'least_connections',
  'least_response_time',
  'consistent_hash',
  'random',
])('%s', (strategy) => {
  test('picks a remaining member, and null when all are skipped', () => {
    fc.assert(
      fc.property(weights, fc.nat(), fc.integer(), (list, left, key) => {
        const members = byWeight(list);
        const only = members[left % members.length]?.candidate;
        const pick = createPicker(strategy, members, { cursor: left });
        const random = seeded(key);
        const input = { now: NOW, random, keyHash: key };
        for (let i = 0; i < 5; i++) {
          expect(pick({ ...input, skip: (one) => one !== only })).toBe(only);
          expect(pick({ ...input, skip: () => true })).toBeNull();
          expect(members.map((one) => one.candidate)).toContain(pick({ ...input, skip: () => false }));
        }
      }),
      { ...SEEDED, numRuns: 60 },
    );
  });
});

describe.each<[Strategy, number]>([
  ['random', 0.02],
  ['consistent_hash', 0.06],
  ['weighted_round_robin', 0.002],
  ['least_connections', 0.02],
])('%s', (strategy, tolerance) => {
  test('idle members get traffic in proportion to weight', () => {
    fc.assert(
      fc.property(weights, (list) => {
        const found = shares(strategy, byWeight(list), 20_000);
        ideal(list).forEach((share, i) => {
          expect(Math.abs((found[i] ?? 0) - share)).toBeLessThan(tolerance);
        });
      }),
      { ...SEEDED, numRuns: 12 },
    );
  });
});

test('round_robin takes turns and ignores weights', () => {
  expect(shares('round_robin', byWeight([1, 256, 10]), 300)).toEqual([1 / 3, 1 / 3, 1 / 3]);
});

test('round_robin picks a member on probation only in its share of the rounds', () => {
  const [slow] = shares('round_robin', [member(candidate('a'), 0.1), member(candidate('b'))], 20_000);
  expect(slow).toBeGreaterThan(0.07);
  expect(slow).toBeLessThan(0.11);
});

test('weighted_round_robin is smooth: weight picks per round, and a heavy member is not picked in a row', () => {
  const pick = createPicker('weighted_round_robin', byWeight([5, 1, 1]), { cursor: 0 });
  const round = (): string[] =>
    Array.from(
      { length: 7 },
      () => pick({ now: NOW, random: () => 0, keyHash: 0, skip: () => false })?.id ?? '',
    );
  for (let i = 0; i < 3; i++) {
    const picks = round();
    expect(picks.filter((id) => id === 'i0')).toHaveLength(5);
    expect(picks.join('')).not.toMatch(/(i0){5}/);
  }
});

test('least_connections avoids the busy member', () => {
  const busy = candidate('a');
  busy.local.pending = 50;
  const [share = 1] = shares(
    'least_connections',
    [member(busy), member(candidate('b')), member(candidate('c'))],
    9_000,
  );
  // Picked only when drawn twice: (1/3)².
  expect(share).toBeLessThan(0.13);
});

test('least_response_time: equals share; the faster of two always wins until its advantage has aged', () => {
  const slow = candidate('slow');
  const fast = candidate('fast');
  recordLatency(slow.local.latency, 100, NOW);
  recordLatency(fast.local.latency, 10, NOW);
  expect(shares('least_response_time', [member(slow), member(fast)], 1_000)[0]).toBe(0);
  const twins = [candidate('a', { latencyMs: 2 }), candidate('b', { latencyMs: 4 })].map((one) =>
    member(one),
  );
  expect(shares('least_response_time', twins, 20_000)[0]).toBeCloseTo(0.5, 1);
  const pick = createPicker('least_response_time', [member(slow), member(fast)], { cursor: 0 });
  const picked = new Set<string>();
  const random = seeded(7);
  for (let second = 0; second < 60; second++) {
    const now = NOW + second * 1_000;
    const one = pick({ now, random, keyHash: 0, skip: () => false });
    if (one) recordLatency(one.local.latency, 10, now);
    if (one) picked.add(one.id);
  }
  expect(picked).toEqual(new Set(['slow', 'fast']));
});

test.each<Strategy>(['least_response_time', 'least_connections', 'random', 'weighted_round_robin'])(
  '%s: of exactly two members weight, slow start and half-open share are honoured',
  (strategy) => {
    const light = shares(
      strategy,
      [member(candidate('light', { weight: 10 })), member(candidate('heavy'))],
      20_000,
    );
    expect(light[0]).toBeCloseTo(10 / 110, 2);
    const young = shares(strategy, [member(candidate('young'), 0.1), member(candidate('old'))], 20_000);
    expect(young[0]).toBeCloseTo(0.1 / 1.1, 2);
  },
);

test.each<Strategy>(['least_response_time', 'least_connections'])(
  '%s: two different members are drawn, so of any number only the last choice can be a hung one',
  (strategy) => {
    for (const count of [2, 3, 10]) {
      const hung = candidate('hung', { latencyMs: 5 });
      hung.local.pending = 20;
      const others = Array.from({ length: count - 1 }, (_, i) =>
        member(candidate(`ok-${i}`, { latencyMs: 5 })),
      );
      expect(shares(strategy, [member(hung), ...others], 2_000)[0]).toBe(0);
    }
  },
);

test('least_response_time: a slow first probe does not keep an instance from its first requests', () => {
  let reachedBoth = 0;
  for (let run = 0; run < 500; run++) {
    const cold = candidate('cold', { latencyMs: 30 });
    const warm = candidate('warm', { latencyMs: 2 });
    const pick = createPicker('least_response_time', [member(cold), member(warm)], { cursor: 0 });
    const reached = new Set<string>();
    const random = seeded(run);
    for (let call = 0; call < 10; call++) {
      const one = pick({ now: NOW + call, random, keyHash: 0, skip: () => false });
      if (!one) continue;
      reached.add(one.id);
      recordLatency(one.local.latency, 3, NOW + call);
    }
    if (reached.size === 2) reachedBoth++;
  }
  expect(reachedBoth).toBeGreaterThan(494);
  const dead = [candidate('slow', { latencyMs: 2_000 }), candidate('fast', { latencyMs: 2 })].map((one) =>
    member(one),
  );
  expect(shares('least_response_time', dead, 5_000)[0]).toBeLessThan(0.01);
});

test('least_response_time avoids a member that does not respond', () => {
  const hung = candidate('hung');
  hung.local.pending = 3;
  const known = candidate('known', { latencyMs: 50 });
  const [share = 1] = shares('least_response_time', [member(hung), member(known)], 5_000);
  expect(share).toBeLessThan(0.01);
});

test('rendezvous: removing a member moves only its keys', () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 20 }), fc.nat(), (count, removed) => {
      const members = Array.from({ length: count }, (_, i) =>
        member(candidate(`i${i}`, { weight: 50 + (i % 3) * 50 })),
      );
      const place = rendezvous(members);
      const gone = members[removed % count]?.candidate;
      for (let key = 0; key < 200; key++) {
        const before = place(hashText(`k${key}`), () => false);
        const after = place(hashText(`k${key}`), (one) => one === gone);
        if (before !== gone) expect(after).toBe(before);
      }
    }),
    { ...SEEDED, numRuns: 30 },
  );
});

test('consistent_hash skips an overloaded member', () => {
  const members = [0, 1, 2, 3].map((i) => member(candidate(`i${i}`)));
  const pick = createPicker('consistent_hash', members, { cursor: 0 });
  const input = { now: NOW, random: () => 0, keyHash: hashText('hot'), skip: () => false };
  const home = pick(input);
  if (home) home.local.pending = 40;
  expect(pick(input)).not.toBe(home);
});

test('the alias table draws in proportion', () => {
  const table = new AliasTable([1, 0, 3]);
  const random = seeded(1);
  const counts = [0, 0, 0];
  for (let i = 0; i < 40_000; i++) {
    const index = table.draw(random());
    counts[index] = (counts[index] ?? 0) + 1;
  }
  expect((counts[0] ?? 0) / 40_000).toBeCloseTo(0.25, 1);
  expect(counts[1]).toBe(0);
});

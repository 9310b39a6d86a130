import { type Candidate, newIsolateState, toCandidate } from '../shared/balance/candidate.ts';
import { rendezvous } from '../shared/balance/consistent-hash.ts';
import type { PoolMember } from '../shared/balance/picker.ts';
import { PointRing } from '../shared/balance/point-ring.ts';
import { buildPool, pickFrom } from '../shared/balance/pool.ts';
import type { Strategy } from '../shared/config/config.ts';
import { hashText } from '../shared/hash.ts';
import { type BenchGoal, type BenchTable, compareInterleaved } from './table.ts';

const SIZES = [2, 10, 100, 1_000, 10_000];
const STRATEGIES: Strategy[] = [
  'random',
  'round_robin',
  'weighted_round_robin',
  'least_connections',
  'least_response_time',
  'consistent_hash',
];
const FIRST_PICK = 'consistent_hash, first pick of a slot';
const GOAL_SIZE = 10_000;
const GOAL_NS = 1_000;
const KEYS = Array.from({ length: 4_096 }, (_, i) => hashText(`client-${i}`));

/** The cost of a pick: each strategy compared with `random`, and consistent_hash with a scan (rendezvous hashing). */
export async function benchPicks(): Promise<BenchTable[]> {
  const tables: BenchTable[] = [];
  for (const size of SIZES) {
    const candidates = fleet(size);
    const variants = Object.fromEntries(
      STRATEGIES.map((strategy) => [strategy, pickOf(strategy, candidates)]),
    );
    const members = candidates.map((candidate) => ({ candidate, weight: candidate.weight }));
    const place = rendezvous(members);
    const scan = () => nanosPerCall((key) => place(key, () => false), Math.max(50, Math.round(2e5 / size)));
    const table = await compareInterleaved(`One pick among ${size} instances of mixed weight`, 'ns', {
      ...variants,
      [FIRST_PICK]: () => nanosOfFirstPicks(members),
      'rendezvous hashing (sessions)': scan,
    });
    const goals = size === GOAL_SIZE ? ['consistent_hash', FIRST_PICK].map(withinGoal) : [];
    tables.push({ ...table, goals });
  }
  const members = fleet(10_000).map((candidate) => ({ candidate, weight: candidate.weight }));
  tables.push(
    await compareInterleaved('Build for 10,000 instances, once per snapshot', 'µs', {
      'rendezvous hashing (sessions)': () => micros(() => rendezvous(members)),
      'ring of consistent_hash': () => micros(() => new PointRing(members)),
    }),
  );
  return tables;
}

const withinGoal = (what: string): BenchGoal => ({ what, figure: 'value', atMost: GOAL_NS });

function pickOf(strategy: Strategy, candidates: readonly Candidate[]): () => number {
  const pool = buildPool(candidates, { strategy, slowStart: 0, mayPanic: true }, { cursor: 0 }, 1);
  const pick = (keyHash: number) => pickFrom(pool, [], { now: 1, random: Math.random, keyHash });
  return () => nanosPerCall(pick, 10_000);
}

/** Elapsed time of a short batch; the shortest of five, which other processes lengthen least. */
function nanosPerCall(call: (key: number) => unknown, times: number): number {
  for (let i = 0; i < times / 4; i++) call(KEYS[i & 4_095] ?? 0);
  const batch = () => {
    for (let i = 0; i < times; i++) call(KEYS[i & 4_095] ?? 0);
  };
  return (Math.min(...Array.from({ length: 5 }, () => micros(batch))) * 1_000) / times;
}

/** Nanoseconds of a pick whose slot is used for the first time. */
function nanosOfFirstPicks(members: readonly Pick<PoolMember, 'candidate' | 'weight'>[]): number {
  const ring = new PointRing(members);
  const slots = 2 ** 14;
  return (
    (micros(() => {
      for (let slot = 0; slot < slots; slot++) ring.find(slot << 18);
    }) *
      1_000) /
    slots
  );
}

function micros(work: () => unknown): number {
  const before = performance.now();
  work();
  return (performance.now() - before) * 1_000;
}

function fleet(size: number): Candidate[] {
  return Array.from({ length: size }, (_, i) =>
    toCandidate(
      {
        id: `instance-${i}`,
        url: 'http://x',
        state: 'up',
        reason: '',
        since: 0,
        weight: 50 + (i % 4) * 50,
        latencyMs: 5 + (i % 9),
      },
      { service: 's', site: 'main', direct: null },
      newIsolateState(),
    ),
  );
}

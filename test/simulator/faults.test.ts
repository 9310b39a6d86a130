import { describe, expect, test } from 'vitest';
import { FAULTS, type Fault, type FaultResult, runFault } from './faults.ts';
import { Simulation, WARM_UP_MS } from './simulation.ts';

/** Requests a second; a hundred instances get less each, because only the time of the test depends on it. */
const rateOf = (instances: number): number => (instances === 100 ? 2_000 : instances * 50);
const run = (fault: Fault, instances: number, seed = 1): FaultResult =>
  runFault(fault, { instances, seed, rate: rateOf(instances) });

const isAtMost = (value: number | null, limit: number): boolean => value !== null && value <= limit;

describe.each([2, 3, 10, 100])('one of %i instances', (instances) => {
  test.each([
    ['hung', FAULTS.hung],
    ['slow', FAULTS.slow],
    ['stall', FAULTS.stall],
    ['reset', FAULTS.reset],
    ['kill', FAULTS.kill],
  ])('%s: no GET fails, and at most one in a thousand is slow', (_, fault) => {
    const { tally, wronged } = run(fault, instances);
    expect(tally.getsFailed).toBe(0);
    expect(tally.getsSlow).toBeLessThanOrEqual(tally.gets / 1_000);
    expect(wronged).toEqual([]);
  });

  test('half of its answers are errors: out within 3 s, and few clients see one', () => {
    const { tally, outAfter, wronged } = run(FAULTS.errors, instances);
    expect(isAtMost(outAfter, 3_000)).toBe(true);
    expect(tally.getsFailed + tally.postsFailed).toBeLessThan(87);
    expect(wronged).toEqual([]);
  });
});

test('a hang under traffic is over within 1.5 s, in 20 of 20 runs', () => {
  const results = Array.from({ length: 20 }, (_, seed) => run(FAULTS.hung, 3, 100 + seed));
  expect(results.filter(({ outAfter }) => !isAtMost(outAfter, 1_500))).toEqual([]);
  expect(Math.max(...results.map(({ tally }) => tally.postsStuck))).toBeLessThanOrEqual(3);
  expect(Math.max(...results.map(({ tally }) => tally.getsFailed))).toBe(0);
});

test('of 20 instances that reset connections none breaks more than 10 POSTs', () => {
  const results = Array.from({ length: 20 }, (_, seed) => run(FAULTS.reset, 3, 100 + seed));
  expect(Math.max(...results.map(({ tally }) => tally.postsFailed))).toBeLessThanOrEqual(10);
  expect(results.filter(({ outAfter }) => !isAtMost(outAfter, 1_500))).toEqual([]);
});

test('a refused connection is down within 200 ms', () => {
  expect(isAtMost(run(FAULTS.kill, 3).outAfter, 200)).toBe(true);
});

test.each([2, 3, 10])('800 ms slower, one of %i: its share is at the floor within 15 s', (instances) => {
  for (const seed of [1, 2, 3, 4, 5]) {
    expect(isAtMost(run(FAULTS.slow, instances, seed).floorAfter, 15_000)).toBe(true);
  }
});

describe.each([
  [200, 10_000],
  [10_000, 60_000],
])('%i isolates, snapshots up to %i ms old', (isolates, snapshotAgeMs) => {
  test.each(Object.entries(FAULTS))('%s: no GET fails, errors aside', (name, fault) => {
    const { tally, wronged } = runFault(fault, { isolates, snapshotAgeMs });
    if (name !== 'errors') expect(tally.getsFailed).toBe(0);
    expect(tally.getsSlow).toBeLessThanOrEqual(tally.gets / 1_000);
    expect(tally.postsStuck).toBeLessThanOrEqual(5);
    expect(wronged).toEqual([]);
  });
});

describe('clients past the edge: no copies and no retries', () => {
  test.each([
    ['hung', FAULTS.hung],
    ['slow', FAULTS.slow],
    ['stall', FAULTS.stall],
  ])('%s: at most 1 % of the requests are hurt', (_, fault) => {
    const { tally } = runFault(fault, { path: 'gateway-only' });
    expect(tally.getsFailed + tally.postsStuck).toBeLessThanOrEqual(10);
    expect(tally.getsSlow).toBeLessThanOrEqual(tally.gets / 100);
  });
});

describe.each([1, 200, 10_000])('the edge picks, %i isolates', (isolates) => {
  test.each([
    ['hung', FAULTS.hung],
    ['slow', FAULTS.slow],
    ['stall', FAULTS.stall],
    ['reset', FAULTS.reset],
    ['kill', FAULTS.kill],
  ])('%s: nearly no GET fails', (_, fault) => {
    const { tally, wronged } = runFault(fault, { path: 'direct', isolates });
    expect(tally.getsFailed).toBeLessThanOrEqual(tally.gets / 1_000);
    expect(wronged).toEqual([]);
  });
});

test.each([
  [14, 1],
  [14, 2],
  [30, 1],
  [30, 2],
])(
  'one of 2 is slow at %i requests/s, seed %i: its share falls, stays low, and returns after the fault',
  (rate, seed) => {
    const simulation = new Simulation({ instances: 2, rate, seed, postShare: 0 });
    const instance = simulation.instance(0);
    const endsAt = WARM_UP_MS + 120_000;
    simulation.clock.after(WARM_UP_MS, () => FAULTS.slow.begin(instance));
    simulation.clock.after(endsAt, () => FAULTS.slow.end(instance));
    simulation.runUntil(endsAt + 30_000);
    const shares = simulation.agent.changes.filter(
      ({ kind, trueAt }) => kind === 'outlier' && trueAt >= WARM_UP_MS,
    );
    const during = shares
      .filter(({ trueAt }) => trueAt < endsAt)
      .map(({ to }) => Number.parseInt(String(to), 10));
    expect(during).toEqual(during.toSorted((a, b) => b - a));
    expect(during.at(-1)).toBeLessThanOrEqual(6);
    expect(shares.at(-1)?.to).toBe('100 %');
  },
);

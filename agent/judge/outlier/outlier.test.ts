import { expect, test } from 'vitest';
import type { Comparison } from './compare.ts';
import {
  normalOutlier,
  type Outlier,
  outlierReason,
  outlierShare,
  recovered,
  stepOutlier,
} from './outlier.ts';

const FLOOR = 0.05;
const alike: Comparison = { kind: 'alike' };
const unknown: Comparison = { kind: 'unknown' };
const doubtful: Comparison = { kind: 'doubtful' };
const slow: Comparison = { kind: 'worse', cause: 'slow', evidence: 'p50 812 ms, peers 5 ms', severe: false };
const verySlow: Comparison = { ...slow, severe: true };
const broken: Comparison = { kind: 'worse', cause: 'broken', evidence: '9 of 10 broken', severe: true };
const failing: Comparison = { kind: 'worse', cause: 'failing', evidence: '10 % failed', severe: false };
const failingSeverely: Comparison = { ...failing, severe: true };

/** One judgement a second, from second 0 on. */
function judge(comparisons: readonly Comparison[], from: Outlier = normalOutlier(0), limits = {}): Outlier {
  return comparisons.reduce<Outlier>((outlier, comparison, second) => {
    const context = {
      now: second * 1_000,
      floor: FLOOR,
      mayEject: true,
      mayReduce: true,
      probesSlow: false,
      ...limits,
    };
    return stepOutlier(outlier, comparison, context);
  }, from);
}
const times = (count: number, comparison: Comparison): Comparison[] =>
  Array.from({ length: count }, () => comparison);
const shareOf = (outlier: Outlier): number => outlierShare(outlier, FLOOR);

test('two judgements in a row make an outlier, and its share halves down to the floor', () => {
  expect(judge([slow, alike, slow]).state).toBe('normal');
  expect(shareOf(judge([slow, slow]))).toBe(0.5);
  expect(shareOf(judge(times(4, slow)))).toBe(0.125);
  expect(shareOf(judge(times(20, slow)))).toBe(FLOOR);
});

test('a severe judgement is enough, and goes to the floor at once', () => {
  expect(judge([verySlow])).toMatchObject({ state: 'reduced', share: FLOOR, cause: 'slow' });
  expect(shareOf(judge([slow, slow, verySlow]))).toBe(FLOOR);
});

test('slowness never takes it out of service; broken connections and severe failures do', () => {
  expect(judge(times(100, verySlow)).state).toBe('reduced');
  expect(judge(times(100, failing)).state).toBe('reduced');
  expect(judge([broken])).toMatchObject({ state: 'ejected', until: 10_000 });
  expect(judge([failingSeverely])).toMatchObject({ state: 'ejected', until: 10_000 });
});

test('with half of the instances out or reduced, no further one becomes an outlier', () => {
  expect(judge([broken], undefined, { mayEject: false })).toMatchObject({ state: 'reduced', share: FLOOR });
  expect(judge(times(10, broken), undefined, { mayEject: false, mayReduce: false })).toEqual(
    normalOutlier(0),
  );
});

test('three healthy judgements double the share until it is whole', () => {
  const reduced = judge([slow, slow, slow]);
  expect(shareOf(judge(times(2, alike), reduced))).toBe(0.25);
  expect(shareOf(judge(times(3, alike), reduced))).toBe(0.5);
  expect(judge(times(20, alike), reduced).state).toBe('normal');
  expect(shareOf(judge([...times(3, alike), slow], reduced))).toBe(0.25);
});

test('a few bad attempts are neither a strike nor recovery', () => {
  const reduced = judge([slow, slow, slow]);
  expect(shareOf(judge(times(100, doubtful), reduced))).toBe(0.25);
  expect(shareOf(judge([alike, alike, doubtful, alike], reduced))).toBe(0.25);
  expect(judge(times(100, doubtful)).state).toBe('normal');
});

test('a relapse needs twice as many healthy judgements', () => {
  const relapsed = judge([slow, slow, ...times(4, alike), slow, slow]);
  expect(relapsed).toMatchObject({ state: 'reduced', relapses: 2, share: 0.5 });
  expect(judge(times(5, alike), relapsed)).toMatchObject({ state: 'reduced', share: 0.5 });
  expect(judge(times(6, alike), relapsed).state).toBe('normal');
});

test('an ejection ends in the smallest share, and the next one takes twice as long', () => {
  const ejected = judge([broken]);
  const back = judge([...times(10, unknown), unknown], ejected);
  expect(back).toMatchObject({ state: 'reduced', share: FLOOR, relapses: 1 });
  expect(
    stepOutlier(back, broken, {
      now: 11_000,
      floor: FLOOR,
      mayEject: true,
      mayReduce: true,
      probesSlow: false,
    }),
  ).toMatchObject({
    state: 'ejected',
    until: 31_000,
  });
});

test('relapses are forgiven, one a minute', () => {
  const before: Outlier = { ...normalOutlier(0), relapses: 3 } as Outlier;
  const context = { floor: FLOOR, mayEject: true, mayReduce: true, probesSlow: false };
  expect(stepOutlier(before, alike, { ...context, now: 125_000 })).toMatchObject({
    relapses: 1,
    since: 120_000,
  });
});

test('an outlier without traffic gets more traffic after 30 s, also when the clock was set back', () => {
  const reduced = judge([slow, slow]);
  const context = { floor: FLOOR, mayEject: true, mayReduce: true, probesSlow: false };
  expect(stepOutlier(reduced, unknown, { ...context, now: 20_000 })).toBe(reduced);
  expect(stepOutlier(reduced, unknown, { ...context, now: 31_000 }).state).toBe('normal');
  expect(stepOutlier(reduced, unknown, { ...context, now: -3_600_000 }).state).toBe('normal');
  expect(stepOutlier(judge([broken]), unknown, { ...context, now: -3_600_000 }).state).toBe('reduced');
});

test('a new process starts without the verdict of the old one, but its relapses count', () => {
  expect(recovered(judge([broken]), 5_000)).toEqual({ ...normalOutlier(5_000), relapses: 1 });
});

test('nothing changes while nothing is wrong', () => {
  const normal = normalOutlier(0);
  expect(judge(times(50, alike), normal)).toBe(normal);
  expect(outlierReason({ cause: 'slow', evidence: 'p50 812 ms, peers 5 ms' })).toBe(
    'slow: p50 812 ms, peers 5 ms',
  );
});

test('slowness that probes show too takes it out, until they no longer do', () => {
  const ejected = judge([slow, slow], undefined, { probesSlow: true });
  expect(ejected).toMatchObject({ state: 'ejected', cause: 'slow' });
  expect(judge(times(100, unknown), ejected, { probesSlow: true })).toBe(ejected);
  expect(judge([unknown], ejected)).toMatchObject({ state: 'reduced', share: FLOOR });
});

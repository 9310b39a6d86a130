import { expect, test } from 'vitest';
import { type Comparison, compareInstances } from './compare.ts';
import { type EvidenceCounts, NO_COUNTS, sketchOf } from './evidence.ts';

const limits = { slowRatio: 4, slowBy: 100, failureRate: 0.05 };

/** `times`: of the answers, milliseconds. */
function counts(times: readonly number[], others: Partial<EvidenceCounts> = {}): EvidenceCounts {
  return { ...NO_COUNTS, calls: times.length, latency: sketchOf(times), ...others };
}
const answers = (count: number, ms: number): number[] => Array.from({ length: count }, () => ms);
const fine = (calls = 100): EvidenceCounts => counts(answers(calls, 5));
const compare = (...all: EvidenceCounts[]): Comparison[] => compareInstances(all, limits);
const kinds = (all: readonly Comparison[]): string[] =>
  all.map((one) => (one.kind === 'worse' ? one.cause : one.kind));

test('instances with the same results are alike', () => {
  expect(kinds(compare(fine(), fine(), fine()))).toEqual(['alike', 'alike', 'alike']);
});

test('an instance without enough peers is unknown', () => {
  expect(kinds(compare(counts(answers(100, 900))))).toEqual(['alike']);
  expect(kinds(compare(counts(answers(100, 900)), fine(2), fine(2)))[0]).toBe('unknown');
  expect(kinds(compare(counts(answers(100, 900)), fine(2)))[0]).toBe('unknown');
});

test('with one peer in total, that peer is enough', () => {
  const [slow, peer] = compare(counts(answers(50, 800)), fine());
  expect(slow).toEqual({
    kind: 'worse',
    cause: 'slow',
    evidence: expect.stringMatching(/^p50 80\d ms, peers 5\.0 ms$/),
    severe: true,
  });
  expect(peer).toEqual({ kind: 'alike' });
});

test('slow is a ratio and a difference', () => {
  expect(kinds(compare(counts(answers(100, 90)), fine(), fine()))[0]).toBe('alike');
  expect(
    kinds(compare(counts(answers(100, 390)), counts(answers(100, 100)), counts(answers(100, 100))))[0],
  ).toBe('alike');
  expect(
    kinds(compare(counts(answers(100, 430)), counts(answers(100, 100)), counts(answers(100, 100))))[0],
  ).toBe('slow');
});

test('when all are slow together none is an outlier', () => {
  const slow = counts(answers(100, 2_000));
  expect(kinds(compare(slow, slow, slow))).toEqual(['alike', 'alike', 'alike']);
});

test('a median of few samples is chance unless nearly all are slow', () => {
  const half = counts([5, 5, 900, 900, 900, 900]);
  // With so few answers the peers have no tail to compare with either.
  expect(kinds(compare(half, fine(20), fine(20)))[0]).toBe('doubtful');
  expect(kinds(compare(counts(answers(6, 900)), fine(20), fine(20)))[0]).toBe('slow');
});

test('a few attempts that are nearly all bad are no sign of recovery', () => {
  // What is left of the traffic of an instance at its smallest share, when hedges win.
  const abandoned = { ...NO_COUNTS, abandoned: 6 };
  expect(kinds(compare(abandoned, fine(200)))[0]).toBe('doubtful');
  expect(kinds(compare({ ...abandoned, abandoned: 1 }, fine(200)))[0]).toBe('doubtful');
  expect(kinds(compare({ ...abandoned, abandoned: 0 }, fine(200)))[0]).toBe('unknown');
  expect(kinds(compare({ ...abandoned, abandoned: 12 }, fine(200)))[0]).toBe('stalling');
  expect(kinds(compare(counts(answers(6, 5), { failures: 4 }), fine(20)))[0]).toBe('doubtful');
  expect(kinds(compare(counts(answers(6, 5), { abandoned: 1 }), fine(200)))[0]).toBe('alike');
});

test('broken connections and failures name their numbers', () => {
  const [broken] = compare(counts(answers(70, 5), { calls: 100, failures: 30, broken: 30 }), fine(), fine());
  expect(broken).toEqual({
    kind: 'worse',
    cause: 'broken',
    evidence: '30 of 100 connections broken, peers 0 %',
    severe: true,
  });
  const [failing] = compare(counts(answers(100, 5), { failures: 10 }), fine(), fine());
  expect(failing).toEqual({
    kind: 'worse',
    cause: 'failing',
    evidence: '10 % failed, peers 0 %',
    severe: false,
  });
  const [severe] = compare(counts(answers(100, 5), { failures: 50 }), fine(), fine());
  expect(severe).toMatchObject({ cause: 'failing', severe: true });
});

test('events that peers have too, or that are few, are chance', () => {
  const failing = counts(answers(100, 5), { failures: 12 });
  expect(kinds(compare(failing, failing, failing))).toEqual(['alike', 'alike', 'alike']);
  expect(
    kinds(compare(counts(answers(500, 5), { calls: 500, broken: 4, failures: 4 }), fine(500), fine(500)))[0],
  ).toBe('alike');
  // Five of five broken calls are evidence, although the samples are few.
  const reset = counts([], { calls: 5, broken: 5, failures: 5 });
  expect(kinds(compare(reset, fine(10), fine(10)))[0]).toBe('broken');
});

test('instances that fail severely are not compared with each other, unless most fail', () => {
  const bad = counts(answers(100, 5), { failures: 100 });
  expect(kinds(compare(bad, bad, fine(), fine()))).toEqual(['failing', 'failing', 'alike', 'alike']);
  expect(kinds(compare(bad, bad, bad, fine()))).toEqual(['alike', 'alike', 'alike', 'alike']);
});

test('a tenth of the answers far behind the slowest ones of the peers is a stall', () => {
  const stalling = counts([...answers(270, 5), ...answers(30, 12_000)]);
  expect(compare(stalling, fine(300), fine(300))[0]).toMatchObject({ cause: 'stalling', severe: false });
  expect(kinds(compare(stalling, stalling, stalling))).toEqual(['alike', 'alike', 'alike']);
});

test('answers whose body stopped count as stalled, and each one is independent', () => {
  const stopping = { ...fine(40), stopped: 6 };
  expect(compare(stopping, fine(300), fine(300))[0]).toMatchObject({ cause: 'stalling', severe: false });
  expect(kinds(compare(stopping, stopping, stopping))).toEqual(['alike', 'alike', 'alike']);
  expect(kinds(compare({ ...fine(300), stopped: 6 }, fine(300), fine(300)))[0]).toBe('alike');
});

test('rare stalls show over a longer time than medians', () => {
  const recent = [fine(70), fine(70), fine(70)];
  const tails = [{ ...fine(200), abandoned: 20 }, fine(200), fine(200)];
  expect(kinds(compareInstances(recent, limits, tails))).toEqual(['stalling', 'alike', 'alike']);
});

test('abandoned requests count as stalled, unless clients abandon requests everywhere', () => {
  const given = counts(answers(270, 5), { abandoned: 30 });
  expect(kinds(compare(given, fine(300), fine(300)))[0]).toBe('stalling');
  expect(kinds(compare(given, given, given))[0]).toBe('alike');
});

test('without latencies, only counts are compared', () => {
  const silent = { ...NO_COUNTS, calls: 100 };
  expect(kinds(compare(silent, silent, silent))).toEqual(['alike', 'alike', 'alike']);
  expect(kinds(compare({ ...silent, failures: 40 }, silent, silent))[0]).toBe('failing');
});

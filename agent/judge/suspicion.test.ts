import { expect, test } from 'vitest';
import {
  addLateProbe,
  advanceProgress,
  afterPass,
  isHung,
  isStuck,
  NO_PROGRESS,
  type Progress,
  stuckSince,
} from './suspicion.ts';

const report = (
  progress: Progress,
  inflight: number,
  now: number,
  what: 'answered' | 'abandoned' | null = null,
): Progress =>
  advanceProgress(
    progress,
    { inflight, answered: what === 'answered', abandoned: what === 'abandoned' },
    now,
  );

test('hung: enough late probes, and no answer for a second', () => {
  let suspicion = addLateProbe(null, 10_000, null);
  suspicion = addLateProbe(suspicion, 10_100, null);
  expect(isHung(suspicion, 3, 20_000)).toBe(false);
  suspicion = addLateProbe(suspicion, 10_200, null);
  expect(isHung(suspicion, 3, 10_900)).toBe(false);
  expect(isHung(suspicion, 3, 11_000)).toBe(true);
});

test('the silence begins with the requests that are stuck', () => {
  expect(addLateProbe(null, 10_000, 9_400)).toEqual({ since: 9_400, lateProbes: 1 });
  expect(addLateProbe({ since: 9_000, lateProbes: 2 }, 10_000, 9_400)).toEqual({
    since: 9_000,
    lateProbes: 3,
  });
});

test('requests in flight without an answer are stuck after 200 ms, or four times the usual latency', () => {
  const busy = report(NO_PROGRESS, 2, 10_000);
  expect(isStuck(busy, 5, 10_199)).toBe(false);
  expect(isStuck(busy, 5, 10_200)).toBe(true);
  expect(isStuck(busy, 100, 10_300)).toBe(false);
  expect(isStuck(busy, null, 10_200)).toBe(true);
});

test('every answer starts the wait again', () => {
  const busy = report(report(NO_PROGRESS, 2, 10_000), 2, 10_150, 'answered');
  expect(stuckSince(busy)).toBe(10_150);
  expect(isStuck(busy, 5, 10_300)).toBe(false);
  expect(stuckSince(report(busy, 0, 10_400, 'answered'))).toBeNull();
});

test('an abandoned request is not an answer: the instance is probed at once', () => {
  const busy = report(NO_PROGRESS, 1, 10_000);
  const left = report(busy, 0, 10_100, 'abandoned');
  expect(stuckSince(left)).toBe(10_000);
  expect(isStuck(left, 5, 10_100)).toBe(true);
  // The next delta of the counters has no request in flight.
  expect(isStuck(report(left, 0, 10_250), 5, 10_250)).toBe(true);
  expect(isStuck(report(left, 0, 10_250, 'answered'), 5, 10_250)).toBe(false);
});

test('a passed probe clears the suspicion of long polls and of abandoned requests', () => {
  const polls = afterPass(report(NO_PROGRESS, 40, 10_000), 20_000);
  expect(isStuck(polls, 5, 20_400)).toBe(false);
  expect(isStuck(polls, 5, 20_500)).toBe(true);
  const left = afterPass(report(NO_PROGRESS, 0, 10_000, 'abandoned'), 10_100);
  expect(stuckSince(left)).toBeNull();
});

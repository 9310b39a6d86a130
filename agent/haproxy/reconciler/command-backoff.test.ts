import { expect, test } from 'vitest';
import { applyCommandBackoff, type CommandHistory } from './command-backoff.ts';

/** The times, in ms, at which a command passes that is tried every `stepMs`. */
function sentAt(stepMs: number): { times: number[]; history: CommandHistory } {
  let history: CommandHistory = new Map();
  const times: number[] = [];
  for (let now = 0; now < 300_000; now += stepMs) {
    const result = applyCommandBackoff(history, ['agent down'], String, now);
    history = result.history;
    if (result.allowed.length > 0) times.push(now);
  }
  return { times, history };
}

test('a repeated command waits longer each time; a different command does not wait', () => {
  const { times, history } = sentAt(1_000);
  expect(times.map((at) => at / 1_000)).toEqual([0, 1, 3, 7, 15, 31, 63, 123, 183, 243]);
  expect(applyCommandBackoff(history, ['agent up'], String, 299_000).allowed).toEqual(['agent up']);
});

test('a command that is repeated rarely does not wait', () => {
  const { times, history } = sentAt(10_000);
  expect(times).toHaveLength(30);
  expect(applyCommandBackoff(history, ['agent down'], String, 290_500).allowed).toEqual([]);
});

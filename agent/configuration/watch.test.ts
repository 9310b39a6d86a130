import { expect, test } from 'vitest';
import { type WatchedFile, watchStep } from './watch.ts';

/** The texts that a sequence of reads reports. */
function reported(reads: (string | null)[]): string[] {
  let state: WatchedFile = { reported: 'old', readOnce: null };
  return reads.flatMap((text) => {
    const next = watchStep(state, text);
    state = next.state;
    return next.changed ?? [];
  });
}

test('a change is reported once, when two reads agree', () => {
  expect(reported(['old', 'new', 'new', 'new'])).toEqual(['new']);
});

test('reports no change while the file is being written, is missing for a moment, or returns to the old text', () => {
  expect(reported(['', 'ne', 'new', 'old', 'old'])).toEqual([]);
  expect(reported(['new', null, 'old', null, null])).toEqual([]);
  expect(reported(['new', null, 'new', 'new'])).toEqual(['new']);
});

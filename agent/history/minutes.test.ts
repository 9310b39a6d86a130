import { expect, test } from 'vitest';
import { sampleInstance } from '../../test/harness/instance.ts';
import { createMinuteAggregator } from './minutes.ts';

const MINUTE = 60_000;
const look = (at: number) => ({
  at,
  instances: new Map([['gs/gs-1', sampleInstance({ id: 'gs-1' })]]),
  changes: [],
});

/** Timestamps of the rows of the service, and how often it had been looked at, when it is looked at then. */
function rowsOf(...looks: number[]) {
  const minutes = createMinuteAggregator();
  const records = looks.flatMap((at) => {
    const ended = minutes.takeEnded(at);
    minutes.add(look(at));
    return ended;
  });
  return [...records, ...minutes.takeAll()]
    .filter(({ row }) => row.instance_id === '')
    .map(({ row }) => [row.timestamp, row.samples]);
}

test('a row a minute', () => {
  expect(rowsOf(MINUTE, MINUTE + 1, 2 * MINUTE - 1, 2 * MINUTE, 5 * MINUTE)).toEqual([
    [60, 3],
    [120, 1],
    [300, 1],
  ]);
});

test('also when the clock is set back', () => {
  expect(rowsOf(100 * MINUTE, 3 * MINUTE, 4 * MINUTE)).toEqual([
    [6_000, 1],
    [180, 1],
    [240, 1],
  ]);
});

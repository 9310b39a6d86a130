import { expect, test } from 'vitest';
import { sampleInstance } from '../../test/harness/instance.ts';
import { createTrafficWindow } from '../core/traffic-window.ts';
import { createMinuteAggregator } from './minutes.ts';

const MINUTE = 60_000;

/** [timestamp, samples] of the service's rows, after samples at the given times. */
function rowsOf(...times: number[]) {
  const window = createTrafficWindow();
  const minutes = createMinuteAggregator(window);
  const records = times.flatMap((at) => {
    window.addSample([['gs/gs-1', sampleInstance({ id: 'gs-1' })]], at);
    return minutes.takeEnded(at);
  });
  return [...records, ...minutes.takeAll()]
    .filter(({ row }) => row.service_type === 'gs' && row.instance_id === '')
    .map(({ row }) => [row.timestamp, row.samples]);
}

test('writes one row per minute', () => {
  expect(rowsOf(MINUTE, MINUTE + 1, 2 * MINUTE - 1, 2 * MINUTE, 5 * MINUTE)).toEqual([
    [60, 3],
    [120, 1],
    [300, 1],
  ]);
});

test('ends the open minute when the clock is set back', () => {
  expect(rowsOf(100 * MINUTE, 3 * MINUTE, 4 * MINUTE)).toEqual([
    [6_000, 1],
    [180, 1],
    [240, 1],
  ]);
});

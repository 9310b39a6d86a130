import { expect, test } from 'vitest';
import type { MetricsRow } from '../core/sink.ts';
import { createRowMerger, rowIntervalMs } from './row-interval.ts';

const row = (timestamp: number, requests: number, more: Partial<MetricsRow> = {}): MetricsRow => ({
  serviceType: 'gs',
  instanceId: 'gs-1',
  timestamp,
  responseTime: 0.01,
  successCount: requests,
  failureCount: 0,
  currentConnections: 0,
  totalRequests: requests,
  cpuUsage: 10,
  memoryUsage: 20,
  ...more,
});

test('rows of one interval become one row of their sums, the mean of their requests, and their peaks', () => {
  const merger = createRowMerger();
  const added = [
    row(1_200, 1, { responseTime: 0.4, currentConnections: 7 }),
    row(1_210, 3, { responseTime: 0.2, failureCount: 2, cpuUsage: 90 }),
    row(1_320, 5),
  ].map((one) => merger.add([one], 120_000));
  expect(added).toEqual([
    [],
    [],
    [
      row(1_210, 4, {
        responseTime: 0.25,
        failureCount: 2,
        currentConnections: 7,
        cpuUsage: 90,
      }),
    ],
  ]);
  expect(merger.takeAll()).toEqual([row(1_320, 5)]);
  expect(merger.takeAll()).toEqual([]);
});

test('a shorter interval writes the rows that the longer one has collected', () => {
  const merger = createRowMerger();
  merger.add([row(1_200, 1)], 120_000);
  expect(merger.add([row(1_210, 2)], 10_000)).toEqual([row(1_200, 1), row(1_210, 2)]);
});

test('the default depends on the number of instances', () => {
  const pool = { min: 1, max: 10, idle: 1_000 };
  const default_ = { postgres: { pool } };
  expect([14, 150, 151].map((count) => rowIntervalMs(default_, count))).toEqual([10_000, 10_000, 300_000]);
  expect(rowIntervalMs({ postgres: { pool, rowInterval: 60_000 } }, 14)).toBe(60_000);
});

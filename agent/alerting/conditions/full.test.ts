import { expect, test } from 'vitest';
import { sampleInstance } from '../../../test/harness/instance.ts';
import { fullConditions } from './full.ts';

const full = { inflight: 100, inflightLimit: 100 };

test('a full instance is a warning that names its connections; critical when no other instance has room', () => {
  const [one, two] = [
    sampleInstance({ id: 'gs-1', ...full }),
    sampleInstance({ id: 'gs-2', inflightLimit: 100 }),
  ];
  expect(fullConditions([one, two])).toMatchObject([
    { service: 'gs', severity: 'warning', message: 'gs: gs-1 is full: 100 of 100 connections' },
  ]);
  const down = { ...two, state: 'down' } as const;
  expect(fullConditions([one, down])).toMatchObject([{ severity: 'critical', value: 1 }]);
});

test('long-lived connections have a limit of their own; without a limit nothing is full', () => {
  const open = sampleInstance({ id: 'gs-1', longLived: 1_000, longLivedLimit: 1_000 });
  expect(fullConditions([open])).toMatchObject([
    { message: 'gs: gs-1 is full: 1000 of 1000 long-lived connections' },
  ]);
  expect(fullConditions([sampleInstance({ id: 'gs-1', inflight: 9, inflightLimit: 0 })])).toEqual([]);
});

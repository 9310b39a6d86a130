import { expect, test } from 'vitest';
import { sampleInstance } from '../../../test/harness/instance.ts';
import { outlierConditions } from './outlier.ts';

const outlier = { cause: 'slow', evidence: 'p50 812 ms, peers 5 ms', share: 0.1, since: 7 } as const;

test('outliers of a service are one condition, with what they do and what they keep', () => {
  const instances = [
    sampleInstance({ id: 'gs-1', outlier }),
    sampleInstance({ id: 'gs-2', outlier: { ...outlier, since: 9 } }),
    sampleInstance({ id: 'gs-3' }),
    // The alert of the instance that is down tells this.
    sampleInstance({ id: 'gs-4', outlier, state: 'down' }),
  ];
  expect(outlierConditions(instances)).toMatchObject([
    {
      rule: 'outlier',
      service: 'gs',
      severity: 'warning',
      value: 2,
      since: 7,
      message:
        'gs: gs-1 is slow (p50 812 ms, peers 5 ms), with 10 % of its weight; ' +
        'gs-2 is slow (p50 812 ms, peers 5 ms), with 10 % of its weight',
    },
  ]);
  expect(outlierConditions([sampleInstance({ id: 'gs-3' })])).toEqual([]);
});

import { expect, test } from 'vitest';
import { sampleInstance } from '../../test/harness/instance.ts';
import { IdleSamples, IdleSums, KeyList } from './idle-samples.ts';
import { BUCKET_MS, createTrafficWindow } from './traffic-window.ts';

const START = 1_000_000_000_000;

test('samples are counted by key, also of keys that are newer than the bucket', () => {
  const keys = new KeyList();
  const first = new IdleSamples(keys);
  first.add('gs/gs-1', true);
  first.add('gs/gs-2', false);
  const second = new IdleSamples(keys);
  for (const key of ['gs/gs-1', 'gs/gs-2', 'gs/gs-3']) second.add(key, true);
  expect(first.get('gs/gs-2')).toEqual({ samples: 1, upSamples: 0 });
  expect(first.get('gs/gs-3')).toBeNull();
  const sums = new IdleSums();
  first.addTo(sums);
  second.addTo(sums);
  expect([...sums.entries()]).toEqual([
    ['gs/gs-1', { samples: 2, upSamples: 2 }],
    ['gs/gs-2', { samples: 2, upSamples: 1 }],
    ['gs/gs-3', { samples: 1, upSamples: 1 }],
  ]);
});

test('a full counter refuses the sample instead of starting at zero again', () => {
  const samples = new IdleSamples(new KeyList());
  const taken = Array.from({ length: 300 }, () => samples.add('gs/gs-1', true));
  expect(taken.filter(Boolean)).toHaveLength(255);
  expect(samples.get('gs/gs-1')).toEqual({ samples: 255, upSamples: 255 });
});

test('no sample is lost while instances come and go', () => {
  const window = createTrafficWindow();
  const rounds = 50;
  for (let round = 0; round < rounds; round++) {
    // Every round replaces all instances but one.
    const ids = ['gs-1', ...Array.from({ length: 40 }, (_, index) => `gs-${round}-${index}`)];
    window.addSample(
      ids.map((id) => [`gs/${id}`, sampleInstance({ id })] as const),
      START + round * BUCKET_MS,
    );
  }
  const now = START + (rounds - 1) * BUCKET_MS;
  const { totals } = window.read(now, rounds * BUCKET_MS);
  expect(totals.get('gs/gs-1')).toMatchObject({ samples: rounds, upSamples: rounds });
  expect(window.readOne('gs/gs-1', now, rounds * BUCKET_MS)).toMatchObject({ samples: rounds });
  expect(totals.get('gs/')).toMatchObject({ samples: rounds, upSamples: rounds });
  for (let round = 0; round < rounds; round++) expect(totals.get(`gs/gs-${round}-7`)?.samples).toBe(1);
});

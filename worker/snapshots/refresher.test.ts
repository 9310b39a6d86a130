import { expect, test } from 'vitest';
import { SITE_DIRECTORY } from '../../shared/snapshot/site-directory.ts';
import {
  DOWN,
  directoryOf,
  HANGS,
  hubOf,
  isolateOf,
  later,
  NOW,
  runLocation,
  sealed,
  unchangedSince,
} from '../../test/harness/isolate.ts';
import type { HubFetcher, KvFetcher, SealedBytes } from './fetchers.ts';

test.each<[string, HubFetcher, KvFetcher]>([
  ['KV hangs', hubOf({ main: await sealed(1) }).fetcher, HANGS],
  ['the Hub hangs', HANGS, () => sealed(1)],
  [
    'KV hangs and the Hub answers late',
    async (known, age) => later(await hubOf({ main: await sealed(1) }).fetcher(known, age)),
    HANGS,
  ],
])(
  'a cold isolate waits for the first valid snapshot only: %s',
  async (_, hub, kv) => {
    const { store, polls, refresher } = isolateOf({ hub, kv });
    await refresher.refresh();
    expect(store.view).not.toBeNull();
    expect(polls.isDue(NOW + 40_000)).toBe(true);
  },
  2_000,
);

test('an invalid snapshot is not the first valid one', async () => {
  const forged = Uint8Array.from(Buffer.from('k-main.AAAA\n{"epoch":1,"seq":9}'));
  const { store, refresher } = isolateOf({
    hub: hubOf({ main: forged }).fetcher,
    kv: async () => later(await sealed(2)),
  });
  await refresher.refresh();
  expect(store.forSite('main')?.source).toBe('kv');
});

test('each site waits for its own first snapshot', async () => {
  const { store, refresher } = isolateOf({
    sites: ['east', 'west'],
    hub: hubOf({ east: await sealed(1, { site: 'east' }) }).fetcher,
    kv: (site) => (site === 'west' ? sealed(1, { site }) : HANGS()),
  });
  await refresher.refresh();
  expect(['east', 'west'].map((site) => store.forSite(site)?.source)).toEqual(['hub', 'kv']);
}, 2_000);

test('KV is read while the Hub is behind it, and while a snapshot is overdue', async () => {
  const old = unchangedSince(NOW - 86_400_000);
  const { requests, fetcher } = hubOf({ main: await sealed(1, old) });
  let inKv = await sealed(1, old);
  const reads: number[] = [];
  const isolates = await runLocation({
    isolates: 1,
    perSecond: 1,
    seconds: 600,
    hub: fetcher,
    kv: async () => {
      reads.push(0);
      return inKv;
    },
    onSecond: async (second) => {
      // The agent reaches KV only.
      if (second === 10) inKv = await sealed(2, { ...old, issuedAt: NOW + 10_000 });
      if (second === 320) expect(reads).toHaveLength(0);
    },
  });
  expect(isolates[0]?.store.forSite('main')).toMatchObject({ source: 'kv', snapshot: { seq: 2 } });
  expect(requests.count).toBeLessThanOrEqual(30);
  expect(reads.length).toBeGreaterThan(5);
});

test('a cold isolate serves the sites of the directory from its first refresh on', async () => {
  const { fetcher, requests } = hubOf({
    main: await sealed(1, unchangedSince(1)),
    west: await sealed(1, { site: 'west', ...unchangedSince(1, 'west') }),
    [SITE_DIRECTORY]: await directoryOf(1, ['west']),
  });
  const { store, refresher } = isolateOf({ hub: fetcher });
  await refresher.refresh();
  expect(store.sites).toEqual(['main', 'west']);
  expect([store.forSite('west')?.source, requests.count]).toEqual(['hub', 2]);
});

test('while the Hub is down, the directory comes from KV', async () => {
  const inKv: Record<string, SealedBytes> = {
    [SITE_DIRECTORY]: await directoryOf(1, ['west']),
    west: await sealed(1, { site: 'west' }),
  };
  let now = NOW;
  const { store, polls, refresher } = isolateOf({
    hub: DOWN,
    kv: async (site) => inKv[site] ?? null,
    now: () => now,
  });
  await refresher.refresh();
  now += 3_000;
  expect(polls.isDue(now)).toBe(true);
  await refresher.refresh();
  expect(store.forSite('west')?.source).toBe('kv');
});

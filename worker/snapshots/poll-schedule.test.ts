import { expect, test } from 'vitest';
import {
  DOWN,
  hubOf,
  isolateOf,
  NOW,
  runLocation,
  sealed,
  unchangedSince,
} from '../../test/harness/isolate.ts';
import type { HubFetcher, KvFetcher } from './fetchers.ts';

test.each<[string, HubFetcher]>([
  ['the Hub is empty', hubOf({}).fetcher],
  ['the Hub is down', DOWN],
])('without any snapshot, one request searches every two seconds: %s', async (_, hub) => {
  const { store, polls, refresher } = isolateOf({ hub });
  expect(polls.searchDue(NOW)).toBe('first');
  const searching = refresher.refresh();
  expect(polls.searchDue(NOW)).toBe('first');
  await searching;
  expect(store.view).toBeNull();
  expect(polls.searchDue(NOW + 2_000)).toBeNull();
  expect(polls.searchDue(NOW + 2_001)).toBe('again');
  void refresher.refresh();
  expect(polls.searchDue(NOW + 2_001)).toBeNull();
});

test('a location asks once for all sites and all isolates: every 30 s while nothing changes, and never KV', async () => {
  const sites = Array.from({ length: 100 }, (_, i) => `s${i}`);
  const content = await Promise.all(
    sites.map(
      async (site) => [site, await sealed(1, { site, ...unchangedSince(NOW - 86_400_000, site) })] as const,
    ),
  );
  const { requests, fetcher } = hubOf(Object.fromEntries(content));
  const kvReads: string[] = [];
  const kv: KvFetcher = async (site) => {
    kvReads.push(site);
    return null;
  };
  await runLocation({ isolates: 4, perSecond: 5, seconds: 300, hub: fetcher, kv, sites });
  expect(requests.count).toBeGreaterThanOrEqual(9);
  expect(requests.count).toBeLessThanOrEqual(11);
  expect(kvReads).toEqual([]);
});

test('after a change the location polls every 2 s, then more and more rarely', async () => {
  const { requests, fetcher } = hubOf({ main: await sealed(1, unchangedSince(NOW)) });
  const counts: number[] = [];
  await runLocation({
    isolates: 3,
    perSecond: 1,
    seconds: 601,
    hub: fetcher,
    onSecond: async (second) => {
      if ([20, 120, 600].includes(second)) counts.push(requests.count);
    },
  });
  const [first = 0, second = 0, third = 0] = counts;
  expect(first).toBeGreaterThanOrEqual(6);
  expect(second - first).toBeLessThanOrEqual(16);
  // 480 s, at nearly 30 s each.
  expect(third - second).toBeLessThanOrEqual(20);
});

test('every isolate learns of a change within the longest interval, and of the next one within 3 s', async () => {
  const { requests, fetcher } = hubOf({ main: await sealed(1, unchangedSince(NOW - 86_400_000)) });
  const seen: number[][] = [];
  await runLocation({
    isolates: 3,
    perSecond: 1,
    seconds: 200,
    hub: fetcher,
    onSecond: async (second, isolates) => {
      if (second === 101) requests.content = { main: await sealed(2, unchangedSince(NOW + 101_000)) };
      if (second === 150) requests.content = { main: await sealed(3, unchangedSince(NOW + 150_000)) };
      if (second === 132 || second === 158)
        seen.push(isolates.map(({ store }) => store.forSite('main')?.snapshot.seq ?? 0));
    },
  });
  expect(seen).toEqual([
    [2, 2, 2],
    [3, 3, 3],
  ]);
});

test('many requests make an isolate poll earlier', async () => {
  const { requests, fetcher } = hubOf({ main: await sealed(1, unchangedSince(NOW - 86_400_000)) });
  await runLocation({ isolates: 1, perSecond: 250, seconds: 60, hub: fetcher });
  expect(requests.count).toBeGreaterThanOrEqual(18);
  expect(requests.count).toBeLessThanOrEqual(31);
});

test('signs of trouble make an isolate poll at once, within a budget', async () => {
  const { requests, fetcher } = hubOf({ main: await sealed(1, unchangedSince(NOW - 86_400_000)) });
  await runLocation({
    isolates: 1,
    perSecond: 1,
    seconds: 600,
    hub: fetcher,
    onSecond: async (second, [isolate]) => isolate?.polls.expectChange(NOW + second * 1_000),
  });
  // 20 regular polls, 10 early ones at once, and two a minute.
  expect(requests.count).toBeGreaterThanOrEqual(25);
  expect(requests.count).toBeLessThanOrEqual(52);
});

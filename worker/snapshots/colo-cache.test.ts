import { expect, test } from 'vitest';
import { DOWN, HANGS, hubOf, isolateOf, memoryCache, NOW, sealed } from '../../test/harness/isolate.ts';
import { withColoCache } from './colo-cache.ts';

test('while Hub and KV are down, a cold isolate uses the last snapshot of its location, however old', async () => {
  const cache = memoryCache(() => NOW);
  await cache.write('main', { order: { epoch: 1, seq: 3 }, sealed: await sealed(3) });
  const { store, polls, refresher } = isolateOf({ hub: withColoCache(DOWN, cache), kv: DOWN });
  await refresher.refresh();
  expect(store.forSite('main')?.snapshot.seq).toBe(3);
  expect(polls.isDue(NOW + 3_000)).toBe(true);
});

test('a cache that hangs delays a snapshot by half a second at most', async () => {
  const cache = { readOrders: HANGS, writeOrders: HANGS, read: HANGS, write: HANGS };
  const hub = withColoCache(hubOf({ main: await sealed(1) }).fetcher, cache);
  const { newer } = await hub(new Map([['main', { epoch: 0, seq: 0 }]]), 0);
  expect([...newer.keys()]).toEqual(['main']);
}, 2_000);

test('a snapshot that the cache has lost is fetched from the Hub again', async () => {
  const cache = memoryCache(() => NOW);
  await cache.writeOrders(new Map([['main', { epoch: 1, seq: 1 }]]));
  const { requests, fetcher } = hubOf({ main: await sealed(1) });
  const { store, refresher } = isolateOf({ hub: withColoCache(fetcher, cache) });
  await refresher.refresh();
  expect([store.forSite('main')?.snapshot.seq, requests.count]).toEqual([1, 1]);
});

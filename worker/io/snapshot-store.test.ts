import { expect, test } from 'vitest';
import { signSnapshot, toBase64Url, unverifiedOrder } from '../../shared/snapshot/signature.ts';
import { SITE_DIRECTORY, signSiteDirectory } from '../../shared/snapshot/site-directory.ts';
import type { Snapshot, SnapshotOrder } from '../../shared/snapshot/snapshot.ts';
import { instance, service } from '../../test/harness/snapshot.ts';
import { PollSchedule } from '../poll-schedule.ts';
import { type SnapshotCache, withColoCache } from './colo-cache.ts';
import type { HubFetcher, KvFetcher, SealedBytes } from './snapshot-fetchers.ts';
import { SnapshotRefresher } from './snapshot-refresher.ts';
import { SnapshotStore } from './snapshot-store.ts';

const pair = (await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify'])) as CryptoKeyPair;

const NOW = 1_000_000_000;

function sealed(seq: number, part: Partial<Snapshot> = {}): Promise<SealedBytes> {
  const base: Snapshot = { v: 1, site: 'main', epoch: 1, seq, issuedAt: NOW, gateways: [], services: {} };
  const snapshot = { ...base, ...part };
  return signSnapshot(snapshot, { kid: `k-${snapshot.site}`, privateKey: pair.privateKey });
}

/** One service whose instance has had its state since then. */
const unchangedSince = (since: number, site = 'main') => ({
  services: { gs: service({ instances: [instance(`${site}-1`, 'http://192.0.2.1', { since })] }) },
});

/** A directory has no epoch. */
function orderOf(bytes: SealedBytes): SnapshotOrder {
  const seq = /"seq":(\d+)/.exec(new TextDecoder().decode(bytes))?.[1];
  return unverifiedOrder(bytes) ?? { epoch: 0, seq: Number(seq) };
}

/** A Hub that holds these snapshots, and counts the requests. */
function hubOf(content: Record<string, SealedBytes>) {
  const requests = { count: 0, content };
  const fetcher: HubFetcher = async (known) => {
    requests.count += 1;
    const held = Object.entries(requests.content).filter(([site]) => known.has(site));
    const isNewer = ([site, bytes]: [string, SealedBytes]): boolean =>
      orderOf(bytes).seq > (known.get(site)?.seq ?? 0);
    return {
      orders: new Map([
        ...[...known.keys()].map((site) => [site, { epoch: 0, seq: 0 }] as const),
        ...held.map(([site, bytes]) => [site, orderOf(bytes)] as const),
      ]),
      newer: new Map(held.filter(isNewer)),
      from: 'hub',
      ageMs: 0,
    };
  };
  return { requests, fetcher };
}

const HANGS = (): Promise<never> => new Promise(() => {});
const DOWN = async (): Promise<never> => {
  throw new Error('down');
};
const EMPTY: KvFetcher = async () => null;

const directoryKeys = () => [{ kid: 'd1', site: SITE_DIRECTORY, publicKey: pair.publicKey }];

/** A site directory whose sites are signed for by the key of the tests. */
async function directoryOf(seq: number, sites: string[]): Promise<SealedBytes> {
  const raw = toBase64Url(
    new Uint8Array((await crypto.subtle.exportKey('raw', pair.publicKey)) as ArrayBuffer),
  );
  const entries = sites.map((site) => `${site}:k-${site}:${raw}`);
  const signing = { kid: 'd1', privateKey: pair.privateKey };
  return signSiteDirectory({ v: 1, kind: 'site-directory', seq, entries }, signing);
}

/** What an isolate has for its snapshots. */
interface Isolate {
  store: SnapshotStore;
  polls: PollSchedule;
  refresher: SnapshotRefresher;
}

interface IsolateOptions {
  hub: HubFetcher;
  kv?: KvFetcher;
  sites?: string[];
  now?: () => number;
  wait?: (ms: number) => Promise<void>;
}

function isolateOf({ hub, kv = EMPTY, sites = ['main'], now = () => NOW, wait }: IsolateOptions): Isolate {
  const verifyKeys = sites.map((site) => ({ kid: `k-${site}`, site, publicKey: pair.publicKey }));
  const polls = new PollSchedule();
  const store = new SnapshotStore({
    settings: { sites, verifyKeys, directoryKeys: directoryKeys() },
    polls,
    view: { newPickerState: () => ({ cursor: 0 }), directOrigin: () => null },
  });
  const options = { store, polls, hub, kv, now, random: () => 0, ...(wait && { wait }) };
  return { store, polls, refresher: new SnapshotRefresher(options) };
}

const later = <T>(value: T): Promise<T> => new Promise((resolve) => setTimeout(() => resolve(value), 50));

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

test.each<[string, HubFetcher]>([
  ['the Hub is empty', hubOf({}).fetcher],
  ['the Hub is down', DOWN],
])('without any snapshot, requests do not search again for two seconds: %s', async (_, hub) => {
  const { store, polls, refresher } = isolateOf({ hub });
  expect(polls.isSearchDue(NOW)).toBe(true);
  const searching = refresher.refresh();
  expect(polls.isSearchDue(NOW)).toBe(true);
  await searching;
  expect(store.view).toBeNull();
  expect(polls.isSearchDue(NOW + 2_000)).toBe(false);
  expect(polls.isSearchDue(NOW + 2_001)).toBe(true);
});

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

/** The cache of one location, in memory. */
function memoryCache(now: () => number): SnapshotCache {
  const snapshots = new Map<string, Awaited<ReturnType<SnapshotCache['read']>>>();
  let cached: { orders: Parameters<SnapshotCache['writeOrders']>[0]; at: number } | null = null;
  return {
    readOrders: async () => cached && { orders: cached.orders, ageMs: now() - cached.at },
    writeOrders: async (orders) => {
      cached = { orders, at: now() };
    },
    read: async (site) => snapshots.get(site) ?? null,
    write: async (site, snapshot) => {
      snapshots.set(site, snapshot);
    },
  };
}

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

/** Runs isolates of one location for a time, each with this many requests a second, and returns what they know last. */
async function runLocation(options: {
  isolates: number;
  perSecond: number;
  seconds: number;
  hub: HubFetcher;
  kv?: KvFetcher;
  sites?: string[];
  onSecond?: (second: number, isolates: readonly Isolate[]) => Promise<void>;
}): Promise<readonly Isolate[]> {
  let now = NOW;
  const hub = withColoCache(
    options.hub,
    memoryCache(() => now),
  );
  const { kv = EMPTY, sites = ['main'] } = options;
  const isolates = Array.from({ length: options.isolates }, () =>
    // However slow this machine is, the Hub answers before KV is due.
    isolateOf({ hub, kv, sites, now: () => now, wait: HANGS }),
  );
  for (let second = 0; second < options.seconds; second++) {
    now = NOW + second * 1_000;
    await options.onSecond?.(second, isolates);
    for (const { polls, refresher } of isolates) {
      const due = Array.from({ length: options.perSecond }, () => polls.countRequest(now)).some(Boolean);
      if (due) await refresher.refresh();
    }
  }
  return isolates;
}

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

test('a newer directory removes a site and its instances; an older one and a forged one change nothing', async () => {
  const { fetcher, requests } = hubOf({
    main: await sealed(1, unchangedSince(1)),
    west: await sealed(1, { site: 'west', ...unchangedSince(1, 'west') }),
    [SITE_DIRECTORY]: await directoryOf(5, ['west']),
  });
  const { store, refresher } = isolateOf({ hub: fetcher });
  await refresher.refresh();
  const instances = () => store.view?.services.get('gs')?.candidates.map(({ id }) => id);
  expect(instances()).toEqual(['main-1', 'west-1']);
  await store.offer(new Map([[SITE_DIRECTORY, await directoryOf(4, [])]]), 'hub');
  const forged = await directoryOf(9, []);
  forged[forged.length - 2] = 0x20;
  await store.offer(new Map([[SITE_DIRECTORY, forged]]), 'hub');
  expect(store.sites).toEqual(['main', 'west']);
  expect(store.directory?.lastError).toMatch(/signature/);
  requests.content[SITE_DIRECTORY] = await directoryOf(6, []);
  await refresher.refresh();
  expect([store.sites, instances()]).toEqual([['main'], ['main-1']]);
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

import { signSnapshot, toBase64Url, unverifiedOrder } from '../../shared/snapshot/signature.ts';
import { SITE_DIRECTORY, signSiteDirectory } from '../../shared/snapshot/site-directory.ts';
import type { Snapshot, SnapshotOrder } from '../../shared/snapshot/snapshot.ts';
import { type SnapshotCache, withColoCache } from '../../worker/snapshots/colo-cache.ts';
import type { HubFetcher, KvFetcher, SealedBytes } from '../../worker/snapshots/fetchers.ts';
import { PollSchedule } from '../../worker/snapshots/poll-schedule.ts';
import { SnapshotRefresher } from '../../worker/snapshots/refresher.ts';
import { SnapshotStore } from '../../worker/snapshots/store.ts';
import { instance, service } from './snapshot.ts';

const pair = (await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify'])) as CryptoKeyPair;

export const NOW = 1_000_000_000;

export function sealed(seq: number, part: Partial<Snapshot> = {}): Promise<SealedBytes> {
  const base: Snapshot = { v: 1, site: 'main', epoch: 1, seq, issuedAt: NOW, gateways: [], services: {} };
  const snapshot = { ...base, ...part };
  return signSnapshot(snapshot, { kid: `k-${snapshot.site}`, privateKey: pair.privateKey });
}

/** One service whose instance has had its state since then. */
export const unchangedSince = (since: number, site = 'main') => ({
  services: { gs: service({ instances: [instance(`${site}-1`, 'http://192.0.2.1', { since })] }) },
});

/** A directory has no epoch. */
function orderOf(bytes: SealedBytes): SnapshotOrder {
  const seq = /"seq":(\d+)/.exec(new TextDecoder().decode(bytes))?.[1];
  return unverifiedOrder(bytes) ?? { epoch: 0, seq: Number(seq) };
}

/** A Hub that holds these snapshots, and counts the requests. */
export function hubOf(content: Record<string, SealedBytes>) {
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

export const HANGS = (): Promise<never> => new Promise(() => {});
export const DOWN = async (): Promise<never> => {
  throw new Error('down');
};
export const EMPTY: KvFetcher = async () => null;

const directoryKeys = () => [{ kid: 'd1', site: SITE_DIRECTORY, publicKey: pair.publicKey }];

/** A site directory whose sites are signed for by the key of the tests. */
export async function directoryOf(seq: number, sites: string[]): Promise<SealedBytes> {
  const raw = toBase64Url(
    new Uint8Array((await crypto.subtle.exportKey('raw', pair.publicKey)) as ArrayBuffer),
  );
  const entries = sites.map((site) => `${site}:k-${site}:${raw}`);
  const signing = { kid: 'd1', privateKey: pair.privateKey };
  return signSiteDirectory({ v: 1, kind: 'site-directory', seq, entries }, signing);
}

/** What an isolate has for its snapshots. */
export interface Isolate {
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

export function isolateOf({
  hub,
  kv = EMPTY,
  sites = ['main'],
  now = () => NOW,
  wait,
}: IsolateOptions): Isolate {
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

export const later = <T>(value: T): Promise<T> =>
  new Promise((resolve) => setTimeout(() => resolve(value), 50));

/** The cache of one location, in memory. */
export function memoryCache(now: () => number): SnapshotCache {
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

/** Runs isolates of one location for a time, each with this many requests a second, and returns what they know last. */
export async function runLocation(options: {
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

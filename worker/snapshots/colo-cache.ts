import { compareSnapshotOrder, type SnapshotOrder } from '../../shared/snapshot/snapshot.ts';
import { withTimeout } from '../io/with-timeout.ts';
import type { HubAnswer, HubFetcher, SealedBytes, SnapshotOrders } from './fetchers.ts';

/** How long a location keeps the last snapshots for isolates that start while the Hub is down. */
const KEEP_SECONDS = 7 * 86_400;
const TIMEOUT_MS = 250;

/** The orders that the Hub gave in its last answer to an isolate of the location. */
interface CachedOrders {
  readonly orders: SnapshotOrders;
  readonly ageMs: number;
}

interface CachedSnapshot {
  readonly order: SnapshotOrder;
  readonly sealed: SealedBytes;
}

/** Any method may reject; then the cache is ignored. */
export interface SnapshotCache {
  readOrders(): Promise<CachedOrders | null>;
  writeOrders(orders: SnapshotOrders): Promise<void>;
  read(site: string): Promise<CachedSnapshot | null>;
  write(site: string, snapshot: CachedSnapshot): Promise<void>;
}

/**
 * Puts the cache of the Cloudflare location in front of the Hub, so that all isolates of a location share its answers.
 * While the Hub fails, it returns the last snapshots of the location, so that a new isolate keeps the known limits and
 * access rules. The content is verified like any other snapshot.
 */
export function withColoCache(fetchFromHub: HubFetcher, cache: SnapshotCache = locationCache): HubFetcher {
  const within = <T>(work: Promise<T>): Promise<T | null> =>
    withTimeout(work, TIMEOUT_MS, 'cache').catch(() => null);

  /** The cached snapshots that are newer than `known`. */
  const readNewer = async (known: SnapshotOrders): Promise<Map<string, CachedSnapshot>> => {
    const found = await Promise.all(
      [...known].map(async ([site, order]) => {
        const cached = await within(cache.read(site));
        return cached && compareSnapshotOrder(cached.order, order) > 0 ? ([[site, cached]] as const) : [];
      }),
    );
    return new Map(found.flat());
  };

  /** Null if the answer is too old, or if the cache lacks a snapshot that it names. */
  const fromCache = async (known: SnapshotOrders, maxAgeMs: number): Promise<HubAnswer | null> => {
    const cached = await within(cache.readOrders());
    if (!cached || cached.ageMs > maxAgeMs) return null;
    const { orders, ageMs } = cached;
    const outdated = new Map(
      [...known].filter(([site, order]) => compareSnapshotOrder(orders.get(site) ?? NONE, order) > 0),
    );
    const newer = await readNewer(outdated);
    const isComplete = [...known.keys()].every((site) => orders.has(site)) && newer.size === outdated.size;
    return isComplete ? { orders, newer: sealedOf(newer), from: 'cache', ageMs } : null;
  };

  const store = async ({ orders, newer }: HubAnswer): Promise<void> => {
    for (const [site, sealed] of newer) {
      const order = orders.get(site);
      if (order) await within(cache.write(site, { order, sealed }));
    }
    await within(cache.writeOrders(orders));
  };

  return async (known, maxAgeMs) => {
    const cached = await fromCache(known, maxAgeMs);
    if (cached) return cached;
    try {
      const answer = await fetchFromHub(known, maxAgeMs);
      void store(answer);
      return answer;
    } catch (error) {
      const newer = sealedOf(await readNewer(known));
      if (newer.size === 0) throw error;
      return { orders: new Map(), newer, from: 'cache', ageMs: 0 };
    }
  };
}

const NONE: SnapshotOrder = { epoch: 0, seq: 0 };

const sealedOf = (snapshots: ReadonlyMap<string, CachedSnapshot>): Map<string, SealedBytes> =>
  new Map([...snapshots].map(([site, { sealed }]) => [site, sealed]));

const ORIGIN = 'https://snapshot.acgs-lb.invalid';
const ORDERS_KEY = `${ORIGIN}/orders`;
const keyOf = (site: string): string => `${ORIGIN}/site/${encodeURIComponent(site)}`;
const KEEP = { 'cache-control': `public, max-age=${KEEP_SECONDS}` };

const locationCache: SnapshotCache = {
  async readOrders() {
    const found = await caches.default.match(ORDERS_KEY);
    if (!found) return null;
    const orders = new Map((await found.json()) as [string, SnapshotOrder][]);
    return { orders, ageMs: Math.max(0, Date.now() - Number(found.headers.get('x-at'))) };
  },
  async writeOrders(orders) {
    const headers = { ...KEEP, 'x-at': String(Date.now()) };
    await caches.default.put(ORDERS_KEY, new Response(JSON.stringify([...orders]), { headers }));
  },
  async read(site) {
    const found = await caches.default.match(keyOf(site));
    if (!found) return null;
    const [epoch, seq] = [Number(found.headers.get('x-epoch')), Number(found.headers.get('x-seq'))];
    return { order: { epoch, seq }, sealed: new Uint8Array(await found.arrayBuffer()) };
  },
  async write(site, { order, sealed }) {
    const headers = { ...KEEP, 'x-epoch': String(order.epoch), 'x-seq': String(order.seq) };
    await caches.default.put(keyOf(site), new Response(sealed, { headers }));
  },
};

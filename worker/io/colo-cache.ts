import { compareSnapshotOrder, type SnapshotOrder } from '../../shared/snapshot/snapshot.ts';
import { COLO_FRESH_MS } from '../polling.ts';
import type { FetchedSnapshot, SnapshotFetcher } from './snapshot-fetchers.ts';
import { withTimeout } from './with-timeout.ts';

/** How long a location keeps the last snapshot for isolates that start while the source is down. */
const KEEP_SECONDS = 7 * 86_400;
const TIMEOUT_MS = 250;

export interface CachedSnapshot extends SnapshotOrder {
  sealed: FetchedSnapshot;
  ageMs: number;
}

/** Either method may reject; then the cache is ignored. */
export interface SnapshotCache {
  read(site: string): Promise<CachedSnapshot | null>;
  write(site: string, snapshot: SnapshotOrder & { sealed: FetchedSnapshot }): Promise<void>;
}

interface ColoCacheOptions {
  orderOf: (sealed: FetchedSnapshot) => SnapshotOrder | null;
  cache?: SnapshotCache;
}

/**
 * Puts the cache of the Cloudflare location in front of a fetcher, so that all isolates of the location together fetch
 * once in two seconds. While the fetcher fails, it returns the last snapshot of the location, so that a new isolate keeps
 * the known limits and access rules. The content is verified like any other snapshot.
 */
export function withColoCache(
  fetchSnapshot: SnapshotFetcher,
  { orderOf, cache = locationCache }: ColoCacheOptions,
): SnapshotFetcher {
  /** The newest snapshot this isolate fetched. It is cached again when the source has none newer. */
  const newest = new Map<string, SnapshotOrder & { sealed: FetchedSnapshot }>();
  const read = (site: string): Promise<CachedSnapshot | null> =>
    withTimeout(cache.read(site), TIMEOUT_MS, 'cache').catch(() => null);
  return async (site, known) => {
    const cached = await read(site);
    const newer = cached && compareSnapshotOrder(cached, known) > 0 ? cached.sealed : null;
    if (cached && cached.ageMs < COLO_FRESH_MS) return newer;
    const sealed = await fetchSnapshot(site, known).catch((error: unknown) => {
      if (newer) return null;
      throw error;
    });
    const order = sealed && orderOf(sealed);
    if (sealed && order) newest.set(site, { ...order, sealed });
    const toCache = newest.get(site);
    if (toCache) void withTimeout(cache.write(site, toCache), TIMEOUT_MS, 'cache').catch(() => {});
    return sealed ?? newer;
  };
}

const keyOf = (site: string): string => `https://snapshot.acgs-lb.invalid/${encodeURIComponent(site)}`;

const locationCache: SnapshotCache = {
  async read(site) {
    const found = await caches.default.match(keyOf(site));
    if (!found) return null;
    return {
      epoch: Number(found.headers.get('x-epoch')),
      seq: Number(found.headers.get('x-seq')),
      ageMs: Date.now() - Number(found.headers.get('x-at')),
      sealed: new Uint8Array(await found.arrayBuffer()),
    };
  },
  async write(site, { epoch, seq, sealed }) {
    const headers = {
      'cache-control': `public, max-age=${KEEP_SECONDS}`,
      'x-at': String(Date.now()),
      'x-epoch': String(epoch),
      'x-seq': String(seq),
    };
    await caches.default.put(keyOf(site), new Response(sealed, { headers }));
  },
};

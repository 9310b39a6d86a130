import { compareSnapshotOrder, type SnapshotOrder } from '../../shared/snapshot/snapshot.ts';
import { COLO_FRESH_MS } from '../polling.ts';
import type { FetchedSnapshot, SnapshotFetcher } from './snapshot-fetchers.ts';

interface CachedSnapshot extends SnapshotOrder {
  sealed: FetchedSnapshot;
}

/**
 * Puts the cache of the Cloudflare location in front of a fetcher, so that all isolates of the location together fetch
 * once in two seconds. Its content is verified like any other snapshot. A failing cache is ignored.
 */
export function withColoCache(
  fetchSnapshot: SnapshotFetcher,
  orderOf: (sealed: FetchedSnapshot) => SnapshotOrder | null,
): SnapshotFetcher {
  /** The newest snapshot this isolate fetched. It is cached again when the source has none newer. */
  const newest = new Map<string, CachedSnapshot>();
  return async (site, known) => {
    const cached = await read(site);
    if (cached) return compareSnapshotOrder(cached, known) > 0 ? cached.sealed : null;
    const sealed = await fetchSnapshot(site, known);
    const order = sealed && orderOf(sealed);
    if (sealed && order) newest.set(site, { ...order, sealed });
    const toCache = newest.get(site);
    if (toCache) await write(site, toCache);
    return sealed;
  };
}

const keyOf = (site: string): string => `https://snapshot.acgs-lb.invalid/${encodeURIComponent(site)}`;

async function read(site: string): Promise<CachedSnapshot | null> {
  try {
    const found = await caches.default.match(keyOf(site));
    const age = Date.now() - Number(found?.headers.get('x-at'));
    if (!found || !(age < COLO_FRESH_MS)) return null;
    return {
      epoch: Number(found.headers.get('x-epoch')),
      seq: Number(found.headers.get('x-seq')),
      sealed: new Uint8Array(await found.arrayBuffer()),
    };
  } catch {
    return null;
  }
}

async function write(site: string, { epoch, seq, sealed }: CachedSnapshot): Promise<void> {
  const headers = {
    'cache-control': `public, max-age=${COLO_FRESH_MS / 1000}`,
    'x-at': String(Date.now()),
    'x-epoch': String(epoch),
    'x-seq': String(seq),
  };
  try {
    await caches.default.put(keyOf(site), new Response(sealed, { headers }));
  } catch {
    // The next isolate fetches from the source.
  }
}

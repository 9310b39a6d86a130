import { compareSnapshotOrder, type SnapshotOrder } from '../../shared/snapshot/snapshot.ts';
import type { SealedSnapshot, SnapshotFetcher } from './snapshot-fetchers.ts';

const FRESH_MS = 2_000;

interface CachedSnapshot extends SnapshotOrder {
  sealed: SealedSnapshot;
}

/**
 * The colo's cache before a source: isolates of one place ask the source once in two seconds between them. What comes
 * out of it is verified like everything else, and a cache that does not work is only passed by.
 */
export function withColoCache(
  source: SnapshotFetcher,
  orderOf: (sealed: SealedSnapshot) => SnapshotOrder | null,
): SnapshotFetcher {
  /** What this isolate saw last, to be put back when the source has nothing newer. */
  const last = new Map<string, CachedSnapshot>();
  return async (site, known) => {
    const kept = await read(site);
    if (kept) return compareSnapshotOrder(kept, known) > 0 ? kept.sealed : null;
    const sealed = await source(site, known);
    const order = sealed && orderOf(sealed);
    if (sealed && order) last.set(site, { ...order, sealed });
    const newest = last.get(site);
    if (newest) await write(site, newest);
    return sealed;
  };
}

const keyOf = (site: string): string => `https://snapshot.acgs-lb.invalid/${encodeURIComponent(site)}`;

async function read(site: string): Promise<CachedSnapshot | null> {
  try {
    const found = await caches.default.match(keyOf(site));
    const age = Date.now() - Number(found?.headers.get('x-at'));
    if (!found || !(age < FRESH_MS)) return null;
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
  try {
    const headers = {
      'cache-control': `public, max-age=${FRESH_MS / 1000}`,
      'x-at': String(Date.now()),
      'x-epoch': String(epoch),
      'x-seq': String(seq),
    };
    await caches.default.put(keyOf(site), new Response(sealed, { headers }));
  } catch {
    // The next isolate asks the source itself.
  }
}

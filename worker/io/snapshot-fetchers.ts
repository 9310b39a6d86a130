import { type SnapshotOrder, snapshotKey } from '../../shared/snapshot/snapshot.ts';
import type { Env } from '../env.ts';
import { withTimeout } from './with-timeout.ts';

/** A signed snapshot as bytes, not yet verified. */
export type FetchedSnapshot = Uint8Array<ArrayBuffer>;

/** Fetches a site's snapshot. Null: there is none newer than `known`. Rejects when the source is down. */
export type SnapshotFetcher = (site: string, known: SnapshotOrder) => Promise<FetchedSnapshot | null>;

const HUB_TIMEOUT_MS = 1_500;
const KV_TIMEOUT_MS = 3_000;
/** How long KV may serve a cached value. */
const KV_CACHE_SECONDS = 60;

export const hubFetcher =
  (env: Env): SnapshotFetcher =>
  async (site, known) => {
    const hub = env.SNAPSHOT_HUB.getByName(site);
    const found = await withTimeout(Promise.resolve(hub.read(known)), HUB_TIMEOUT_MS, 'SnapshotHub');
    return found === null || found === 'unchanged' ? null : found.sealed;
  };

/** Behaves like a Hub that is down. */
export const disabledHubFetcher: SnapshotFetcher = async () => {
  throw new Error('SnapshotHub is switched off');
};

export const kvFetcher =
  (env: Env): SnapshotFetcher =>
  async (site) => {
    if (!env.SNAPSHOTS) return null;
    const read = env.SNAPSHOTS.get(snapshotKey(site), { type: 'arrayBuffer', cacheTtl: KV_CACHE_SECONDS });
    const found = await withTimeout(read, KV_TIMEOUT_MS, 'KV');
    return found ? new Uint8Array(found) : null;
  };

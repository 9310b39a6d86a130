import { type SnapshotOrder, snapshotKey } from '../../shared/snapshot/snapshot.ts';
import type { Env } from '../env.ts';
import { withTimeout } from './with-timeout.ts';

export type SealedSnapshot = Uint8Array<ArrayBuffer>;

/** A place snapshots come from. `null`: it has none newer than `known`. Rejects when it is down. */
export type SnapshotFetcher = (site: string, known: SnapshotOrder) => Promise<SealedSnapshot | null>;

const HUB_TIMEOUT_MS = 1_500;
const KV_TIMEOUT_MS = 3_000;
/** KV's minimum, and how long a change may stay unseen anyway. */
const KV_CACHE_SECONDS = 60;

/** The fast lane. */
export const hubFetcher =
  (env: Env): SnapshotFetcher =>
  async (site, known) => {
    const hub = env.SNAPSHOT_HUB.getByName(site);
    const found = await withTimeout(HUB_TIMEOUT_MS, 'SnapshotHub', Promise.resolve(hub.read(known)));
    return found === null || found === 'unchanged' ? null : found.sealed;
  };

/** The Hub when it is down. */
export const disabledHubFetcher: SnapshotFetcher = async () => {
  throw new Error('SnapshotHub is switched off');
};

export const kvFetcher =
  (env: Env): SnapshotFetcher =>
  async (site) => {
    if (!env.SNAPSHOTS) return null;
    const read = env.SNAPSHOTS.get(snapshotKey(site), { type: 'arrayBuffer', cacheTtl: KV_CACHE_SECONDS });
    const found = await withTimeout(KV_TIMEOUT_MS, 'KV', read);
    return found ? new Uint8Array(found) : null;
  };

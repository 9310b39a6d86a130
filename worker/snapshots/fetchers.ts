import { type SnapshotOrder, snapshotKey } from '../../shared/snapshot/snapshot.ts';
import type { Env } from '../env.ts';
import { withTimeout } from '../io/with-timeout.ts';
import { HUB_NAME } from './hub-name.ts';

/** A signed snapshot as bytes, not yet verified. */
export type SealedBytes = Uint8Array<ArrayBuffer>;

/** Site → order. */
export type SnapshotOrders = ReadonlyMap<string, SnapshotOrder>;

/** The answer of the Hub, not yet verified. */
export interface HubAnswer {
  readonly orders: SnapshotOrders;
  /** Snapshots that are newer than the known ones; possibly not all of them. */
  readonly newer: ReadonlyMap<string, SealedBytes>;
  /** `cache`: another isolate of the location asked the Hub. */
  readonly from: 'hub' | 'cache';
  /** How long ago the Hub said so. */
  readonly ageMs: number;
}

/**
 * Fetches what is newer than `known`, for all its sites together. The answer may come from a cache if it is at most
 * `maxAgeMs` old. Rejects when the source is down.
 */
export type HubFetcher = (known: SnapshotOrders, maxAgeMs: number) => Promise<HubAnswer>;

/** Fetches a site's snapshot; null: there is none. Rejects when the source is down. */
export type KvFetcher = (site: string) => Promise<SealedBytes | null>;

const HUB_TIMEOUT_MS = 1_500;
const KV_TIMEOUT_MS = 3_000;
/** How long KV may serve a cached value. */
const KV_CACHE_SECONDS = 60;

export const hubFetcher =
  (env: Env): HubFetcher =>
  async (known) => {
    const reading = Promise.resolve(env.SNAPSHOT_HUB.getByName(HUB_NAME).read(known));
    const { orders, newer } = await withTimeout(reading, HUB_TIMEOUT_MS, 'SnapshotHub');
    return { orders, newer, from: 'hub', ageMs: 0 };
  };

/** Behaves like a Hub that is down. */
export const disabledHubFetcher: HubFetcher = async () => {
  throw new Error('SnapshotHub is switched off');
};

export const kvFetcher =
  (env: Env): KvFetcher =>
  async (site) => {
    if (!env.SNAPSHOTS) return null;
    const read = env.SNAPSHOTS.get(snapshotKey(site), { type: 'arrayBuffer', cacheTtl: KV_CACHE_SECONDS });
    const found = await withTimeout(read, KV_TIMEOUT_MS, 'KV');
    return found ? new Uint8Array(found) : null;
  };

import { expect, test } from 'vitest';
import { signSnapshot, unverifiedOrder } from '../../shared/snapshot/signature.ts';
import type { Snapshot } from '../../shared/snapshot/snapshot.ts';
import { type CachedSnapshot, withColoCache } from './colo-cache.ts';
import type { FetchedSnapshot, SnapshotFetcher } from './snapshot-fetchers.ts';
import { SnapshotStore } from './snapshot-store.ts';

const pair = (await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify'])) as CryptoKeyPair;

const sealed = (seq: number, site = 'main'): Promise<FetchedSnapshot> => {
  const snapshot: Snapshot = { v: 1, site, epoch: 1, seq, issuedAt: 0, gateways: [], services: {} };
  return signSnapshot(snapshot, { kid: `k-${site}`, privateKey: pair.privateKey });
};

const HANGS: SnapshotFetcher = () => new Promise(() => {});
const DOWN: SnapshotFetcher = async () => {
  throw new Error('down');
};

function storeOf(hub: SnapshotFetcher, kv: SnapshotFetcher, sites = ['main']): SnapshotStore {
  const verifyKeys = sites.map((site) => ({ kid: `k-${site}`, site, publicKey: pair.publicKey }));
  return new SnapshotStore({
    settings: { sites, verifyKeys },
    hub,
    kv,
    now: () => 1_000_000,
    view: { newPickerState: () => ({ cursor: 0 }), directOrigin: () => null },
  });
}

test.each<[string, SnapshotFetcher, SnapshotFetcher]>([
  ['KV hangs', () => sealed(1), HANGS],
  ['the Hub hangs', HANGS, () => sealed(1)],
  [
    'KV hangs and the Hub answers late',
    () => new Promise((resolve) => setTimeout(() => resolve(sealed(1)), 50)),
    HANGS,
  ],
])(
  'a cold isolate waits for the first valid snapshot only: %s',
  async (_, hub, kv) => {
    const store = storeOf(hub, kv);
    await store.refresh();
    expect(store.view).not.toBeNull();
    expect(store.isRefreshDue(1_002_000)).toBe(true);
  },
  2_000,
);

test('an invalid snapshot is not the first valid one', async () => {
  const forged = async (): Promise<FetchedSnapshot> => Uint8Array.from(Buffer.from('k-main.AAAA\n{}'));
  const late = async (): Promise<FetchedSnapshot> => {
    await new Promise((resolve) => setTimeout(resolve, 50));
    return sealed(2);
  };
  const store = storeOf(forged, late);
  await store.refresh();
  expect(store.forSite('main')?.source).toBe('kv');
});

test('each site waits for its own first snapshot', async () => {
  const store = storeOf(
    (site) => (site === 'east' ? sealed(1, site) : HANGS(site, { epoch: 0, seq: 0 })),
    (site) => (site === 'west' ? sealed(1, site) : HANGS(site, { epoch: 0, seq: 0 })),
    ['east', 'west'],
  );
  await store.refresh();
  expect(['east', 'west'].map((site) => store.forSite(site)?.source)).toEqual(['hub', 'kv']);
}, 2_000);

test('while Hub and KV are down, a cold isolate uses the last snapshot of its location, however old', async () => {
  const cached: CachedSnapshot = { epoch: 1, seq: 3, ageMs: 3_600_000, sealed: await sealed(3) };
  const cache = { read: async () => cached, write: async () => {} };
  const store = storeOf(withColoCache(DOWN, { orderOf: unverifiedOrder, cache }), DOWN);
  await store.refresh();
  expect(store.forSite('main')?.snapshot.seq).toBe(3);
});

test('a cache that hangs delays a snapshot by a quarter of a second at most', async () => {
  const cache = { read: () => new Promise<null>(() => {}), write: () => new Promise<void>(() => {}) };
  const hub = withColoCache(() => sealed(1), { orderOf: unverifiedOrder, cache });
  expect(await hub('main', { epoch: 0, seq: 0 })).toHaveLength((await sealed(1)).length);
}, 2_000);

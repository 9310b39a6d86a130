import { elapsedMs } from '../../shared/elapsed.ts';
import { errorMessage } from '../../shared/error-message.ts';
import { verifySnapshot } from '../../shared/snapshot/signature.ts';
import { compareSnapshotOrder, type Snapshot, type SnapshotOrder } from '../../shared/snapshot/snapshot.ts';
import { buildView, type View, type ViewOptions } from '../../shared/view.ts';
import type { EdgeSettings } from '../settings.ts';
import type { FetchedSnapshot, SnapshotFetcher } from './snapshot-fetchers.ts';

/** How a snapshot reached this isolate: fetched from the Hub or KV, or sent to it by the agent. */
type SnapshotSource = 'hub' | 'kv' | 'put';

interface AcceptedSnapshot {
  readonly snapshot: Snapshot;
  readonly source: SnapshotSource;
}

interface SiteState {
  /** The newest valid snapshot. Kept through every failure, however old it gets. */
  accepted: AcceptedSnapshot | null;
  kvFetchedAt: number;
  lastError: string | null;
}

const NONE: SnapshotOrder = { epoch: 0, seq: 0 };
const REFRESH_INTERVAL_MS = 1_000;
/** A refresh that takes longer was cancelled together with its request. */
const REFRESH_TIMEOUT_MS = 6_000;
const KV_INTERVAL_MS = 30_000;
const KV_INTERVAL_WITHOUT_HUB_MS = 5_000;

interface SnapshotStoreOptions {
  settings: Pick<EdgeSettings, 'sites' | 'verifyKeys'>;
  hub: SnapshotFetcher;
  kv: SnapshotFetcher;
  now: () => number;
  view: Omit<ViewOptions, 'now' | 'previous'>;
}

/** The snapshots in this isolate's memory, refreshed from the Hub and KV. Verifies every snapshot, whatever its source. */
export class SnapshotStore {
  readonly #options: SnapshotStoreOptions;
  readonly #sites: Map<string, SiteState>;
  #view: View | null = null;
  #refreshedAt = 0;
  #isRefreshing = false;
  #loggedSharedIds = '';

  constructor(options: SnapshotStoreOptions) {
    this.#options = options;
    this.#sites = new Map(
      options.settings.sites.map((site) => [site, { accepted: null, kvFetchedAt: 0, lastError: null }]),
    );
  }

  /** The view to route by; null until the first snapshot is accepted. */
  get view(): View | null {
    return this.#view;
  }

  status(now: number) {
    return [...this.#sites].map(([site, { accepted, lastError }]) => ({
      site,
      epoch: accepted?.snapshot.epoch ?? 0,
      seq: accepted?.snapshot.seq ?? 0,
      ageMs: accepted ? now - accepted.snapshot.issuedAt : null,
      source: accepted?.source ?? null,
      lastError,
    }));
  }

  forSite(site: string): AcceptedSnapshot | null {
    return this.#sites.get(site)?.accepted ?? null;
  }

  isRefreshDue(now: number): boolean {
    const interval = this.#isRefreshing ? REFRESH_TIMEOUT_MS : REFRESH_INTERVAL_MS;
    return elapsedMs(this.#refreshedAt, now) > interval;
  }

  /** Fetches from the Hub, and from KV when that is due. Never rejects. */
  async refresh(): Promise<void> {
    this.#isRefreshing = true;
    this.#refreshedAt = this.#options.now();
    await Promise.all([...this.#sites].map(([site, state]) => this.#refreshSite(site, state)));
    this.#isRefreshing = false;
  }

  async #refreshSite(site: string, state: SiteState): Promise<void> {
    const isCold = state.accepted === null;
    const fromHub = this.#fetch('hub', site, state);
    if (isCold) await Promise.all([fromHub, this.#fetch('kv', site, state)]);
    const hubAnswered = await fromHub;
    const hubWorks = hubAnswered && state.accepted?.source !== 'kv';
    const interval = hubWorks ? KV_INTERVAL_MS : KV_INTERVAL_WITHOUT_HUB_MS;
    if (elapsedMs(state.kvFetchedAt, this.#options.now()) > interval) await this.#fetch('kv', site, state);
  }

  /** Whether the source answered. */
  async #fetch(source: 'hub' | 'kv', site: string, state: SiteState): Promise<boolean> {
    if (source === 'kv') state.kvFetchedAt = this.#options.now();
    try {
      const sealed = await this.#options[source](site, state.accepted?.snapshot ?? NONE);
      if (sealed) await this.offer(site, sealed, source);
      return true;
    } catch (error) {
      state.lastError = `${source}: ${errorMessage(error)}`;
      return false;
    }
  }

  /** Accepts a sealed snapshot when its signature is valid, it is newer, and a view can be built from it. */
  async offer(site: string, sealed: FetchedSnapshot, source: SnapshotSource): Promise<void> {
    const state = this.#sites.get(site);
    if (!state) return;
    const opened = await verifySnapshot(sealed, site, this.#options.settings.verifyKeys);
    if (!opened.ok) {
      state.lastError = `${source}: ${opened.why}`;
      return;
    }
    const { snapshot } = opened;
    // Compared after the await: another request may have brought a newer one in the meantime.
    if (state.accepted && compareSnapshotOrder(snapshot, state.accepted.snapshot) <= 0) return;
    const built = this.#buildView(snapshot);
    if (!built.ok) {
      state.lastError = `${source}: ${built.why}`;
      return;
    }
    state.accepted = { snapshot, source };
    state.lastError = null;
    this.#view = built.view;
    this.#logSharedIds(built.view.duplicateInstanceIds);
  }

  /** Why no view can be built from the snapshot; null when one can. */
  routingError(snapshot: Snapshot): string | null {
    const built = this.#buildView(snapshot);
    return built.ok ? null : built.why;
  }

  /** The view with this snapshot in place of its site's current one. */
  #buildView(snapshot: Snapshot): { ok: true; view: View } | { ok: false; why: string } {
    const snapshots = [...this.#sites].flatMap(([site, { accepted }]) =>
      site === snapshot.site ? [snapshot] : (accepted?.snapshot ?? []),
    );
    try {
      const options = { ...this.#options.view, previous: this.#view, now: this.#options.now() };
      return { ok: true, view: buildView(snapshots, options) };
    } catch (error) {
      return { ok: false, why: `cannot route by this snapshot: ${errorMessage(error)}` };
    }
  }

  /** Two sites may use one instance id, but then `x-acgs-instance` and the logs are ambiguous. */
  #logSharedIds(sharedIds: View['duplicateInstanceIds']): void {
    const ids = JSON.stringify(sharedIds);
    if (sharedIds.length === 0 || ids === this.#loggedSharedIds) return;
    this.#loggedSharedIds = ids;
    console.warn(JSON.stringify({ event: 'shared-instance-ids', sharedIds }));
  }
}

import { elapsedMs } from '../../shared/elapsed.ts';
import { errorMessage } from '../../shared/error-message.ts';
import { verifySnapshot } from '../../shared/snapshot/signature.ts';
import { compareSnapshotOrder, type Snapshot, type SnapshotOrder } from '../../shared/snapshot/snapshot.ts';
import { buildView, type View, type ViewOptions } from '../../shared/view.ts';
import { KV_INTERVAL_MS } from '../polling.ts';
import type { EdgeSettings } from '../settings.ts';
import type { FetchedSnapshot, SnapshotFetcher } from './snapshot-fetchers.ts';

/** How a snapshot reached this isolate: fetched from the Hub or KV, or sent to it by the agent. */
type SnapshotSource = 'hub' | 'kv' | 'put';

interface AcceptedSnapshot {
  readonly snapshot: Snapshot;
  readonly source: SnapshotSource;
}

/** A verified snapshot and the view built from it. */
interface PreparedSnapshot {
  readonly ok: true;
  readonly snapshot: Snapshot;
  /** The view at the time of the build. */
  readonly base: View | null;
  readonly view: View;
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
const KV_INTERVAL_WITHOUT_HUB_MS = 5_000;

interface SnapshotStoreOptions {
  settings: Pick<EdgeSettings, 'sites' | 'verifyKeys'>;
  hub: SnapshotFetcher;
  kv: SnapshotFetcher;
  now: () => number;
  view: Omit<ViewOptions, 'previous'>;
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

  #refreshSite(site: string, state: SiteState): Promise<void> {
    return state.accepted === null ? this.#firstOf(site, state) : this.#update(site, state);
  }

  /** Asks both sources at once. The first valid snapshot is enough; what the other one brings later is accepted, too. */
  async #firstOf(site: string, state: SiteState): Promise<void> {
    const found = Promise.withResolvers<void>();
    const sources = (['hub', 'kv'] as const).map((source) =>
      this.#fetch(source, site, state).then(() => {
        if (state.accepted) found.resolve();
      }),
    );
    await Promise.race([found.promise, Promise.all(sources)]);
  }

  async #update(site: string, state: SiteState): Promise<void> {
    const hubAnswered = await this.#fetch('hub', site, state);
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
    // Compared after the await: another request may have brought a newer one in the meantime.
    if (opened.ok && !this.#isNewer(opened.snapshot)) return;
    const built = opened.ok ? this.prepare(opened.snapshot) : opened;
    if (built.ok) this.accept(built, source);
    else state.lastError = `${source}: ${built.why}`;
  }

  /** Builds the view with this snapshot in place of its site's current one, or says why that is impossible. */
  prepare(snapshot: Snapshot): PreparedSnapshot | { ok: false; why: string } {
    const snapshots = [...this.#sites].flatMap(([site, { accepted }]) =>
      site === snapshot.site ? [snapshot] : (accepted?.snapshot ?? []),
    );
    const base = this.#view;
    try {
      const view = buildView(snapshots, { ...this.#options.view, previous: base });
      return { ok: true, snapshot, base, view };
    } catch (error) {
      return { ok: false, why: `cannot route by this snapshot: ${errorMessage(error)}` };
    }
  }

  /** Routes by a verified snapshot from now on, unless a newer one has been accepted. */
  accept(prepared: PreparedSnapshot, source: SnapshotSource): void {
    const { snapshot } = prepared;
    const state = this.#sites.get(snapshot.site);
    if (!state || !this.#isNewer(snapshot)) return;
    // Another view may have been accepted since: its isolate state and the snapshots of its sites must be kept.
    const built = prepared.base === this.#view ? prepared : this.prepare(snapshot);
    if (!built.ok) return;
    state.accepted = { snapshot, source };
    state.lastError = null;
    this.#view = built.view;
    this.#logSharedIds(built.view.duplicateInstanceIds);
  }

  #isNewer(snapshot: Snapshot): boolean {
    const accepted = this.#sites.get(snapshot.site)?.accepted;
    return !accepted || compareSnapshotOrder(snapshot, accepted.snapshot) > 0;
  }

  /** Two sites may use one instance id, but then `x-acgs-instance` and the logs are ambiguous. */
  #logSharedIds(sharedIds: View['duplicateInstanceIds']): void {
    const ids = JSON.stringify(sharedIds);
    if (sharedIds.length === 0 || ids === this.#loggedSharedIds) return;
    this.#loggedSharedIds = ids;
    console.warn(JSON.stringify({ event: 'shared-instance-ids', sharedIds }));
  }
}

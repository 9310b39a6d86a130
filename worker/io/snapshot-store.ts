import { verifySnapshot } from '../../shared/snapshot/signature.ts';
import { compareSnapshotOrder, type Snapshot, type SnapshotOrder } from '../../shared/snapshot/snapshot.ts';
import { buildView, type View, type ViewOptions } from '../../shared/view.ts';
import type { EdgeSettings } from '../settings.ts';
import type { SealedSnapshot, SnapshotFetcher } from './snapshot-fetchers.ts';

export type SnapshotSource = 'hub' | 'kv' | 'colo' | 'put';

/** What is held for one site. Kept through every failure: age never makes an outage. */
interface SiteSnapshot {
  snapshot: Snapshot | null;
  lane: SnapshotSource | null;
  kvCheckedAt: number;
  lastError: string | null;
}

const NONE: SnapshotOrder = { epoch: 0, seq: 0 };
/** How old a check may be before a request starts the next one, in the background. */
const REFRESH_INTERVAL_MS = 1_000;
/** A check that has not ended after this is taken for dead (its request was cancelled). */
const REFRESH_TIMEOUT_MS = 6_000;
const KV_WHEN_HUB_ANSWERS_MS = 30_000;
const KV_WHEN_HUB_FAILS_MS = 5_000;

export interface SnapshotStoreOptions {
  settings: Pick<EdgeSettings, 'sites' | 'verifyKeys'>;
  hub: SnapshotFetcher;
  kv: SnapshotFetcher;
  now: () => number;
  view: Omit<ViewOptions, 'now' | 'previous'>;
}

/** Isolate memory in front of Hub and KV, stale-while-revalidate. Every document is verified here, whatever it came by. */
export class SnapshotStore {
  readonly #options: SnapshotStoreOptions;
  readonly #held: Map<string, SiteSnapshot>;
  #view: View | null = null;
  #checkedAt = 0;
  #checking = false;
  #toldSharedIds = '';

  constructor(options: SnapshotStoreOptions) {
    this.#options = options;
    this.#held = new Map(
      options.settings.sites.map((site) => [
        site,
        { snapshot: null, lane: null, kvCheckedAt: 0, lastError: null },
      ]),
    );
  }

  /** The view to route from, or null when no snapshot was ever seen. */
  get view(): View | null {
    return this.#view;
  }

  status(now: number) {
    return [...this.#held].map(([site, held]) => ({
      site,
      epoch: held.snapshot?.epoch ?? 0,
      seq: held.snapshot?.seq ?? 0,
      ageMs: held.snapshot ? now - held.snapshot.issuedAt : null,
      source: held.lane,
      lastError: held.lastError,
    }));
  }

  forSite(site: string): { snapshot: Snapshot; lane: string } | null {
    const held = this.#held.get(site);
    return held?.snapshot ? { snapshot: held.snapshot, lane: held.lane ?? 'memory' } : null;
  }

  isRefreshDue(now: number): boolean {
    // A clock that was set back must not put it off.
    return Math.abs(now - this.#checkedAt) > (this.#checking ? REFRESH_TIMEOUT_MS : REFRESH_INTERVAL_MS);
  }

  /** Asks the lanes of every site. Never rejects. */
  async refresh(): Promise<void> {
    this.#checking = true;
    this.#checkedAt = this.#options.now();
    await Promise.all([...this.#held].map(([site, held]) => this.#checkSite(site, held)));
    this.#checking = false;
  }

  async #checkSite(site: string, held: SiteSnapshot): Promise<void> {
    const first = held.snapshot === null;
    const fromHub = this.#ask('hub', site, held);
    if (first) await Promise.all([fromHub, this.#ask('kv', site, held)]);
    const hubAnswered = await fromHub;
    const now = this.#options.now();
    const wait = hubAnswered && held.lane !== 'kv' ? KV_WHEN_HUB_ANSWERS_MS : KV_WHEN_HUB_FAILS_MS;
    if (Math.abs(now - held.kvCheckedAt) > wait) await this.#ask('kv', site, held);
  }

  /** Whether the lane answered. */
  async #ask(lane: 'hub' | 'kv', site: string, held: SiteSnapshot): Promise<boolean> {
    if (lane === 'kv') held.kvCheckedAt = this.#options.now();
    try {
      const sealed = await this.#options[lane](site, held.snapshot ?? NONE);
      if (sealed) await this.offer(site, sealed, lane);
      return true;
    } catch (error) {
      held.lastError = `${lane}: ${error instanceof Error ? error.message : String(error)}`;
      return false;
    }
  }

  /** Takes a sealed snapshot if its signature holds and it is newer than what is held. */
  async offer(site: string, sealed: SealedSnapshot, lane: SnapshotSource): Promise<void> {
    const held = this.#held.get(site);
    if (!held) return;
    const opened = await verifySnapshot(sealed, site, this.#options.settings.verifyKeys);
    if (!opened.ok) {
      held.lastError = `${lane}: ${opened.why}`;
      return;
    }
    // Looked at after the await: another request may have brought a newer one meanwhile.
    if (held.snapshot && compareSnapshotOrder(opened.snapshot, held.snapshot) <= 0) return;
    const view = this.#viewWith(opened.snapshot);
    if (typeof view === 'string') {
      held.lastError = `${lane}: ${view}`;
      return;
    }
    held.snapshot = opened.snapshot;
    held.lane = lane;
    held.lastError = null;
    if (view.duplicateInstanceIds.length > 0) this.#tellSharedIds(view.duplicateInstanceIds);
    this.#view = view;
  }

  /** Why no requests could be routed from it, or null. */
  routingError(snapshot: Snapshot): string | null {
    const view = this.#viewWith(snapshot);
    return typeof view === 'string' ? view : null;
  }

  /** This snapshot in the place of its site's last; or why that cannot be: what is held goes on to be used. */
  #viewWith(snapshot: Snapshot): View | string {
    const snapshots = [...this.#held].flatMap(([site, held]) =>
      site === snapshot.site ? [snapshot] : (held.snapshot ?? []),
    );
    try {
      return buildView(snapshots, {
        ...this.#options.view,
        previous: this.#view,
        now: this.#options.now(),
      });
    } catch (error) {
      return `it cannot be routed from: ${error instanceof Error ? error.message : String(error)}`;
    }
  }

  /** It works, but where `x-acgs-instance` or a log names one of them, nobody can tell which is meant. */
  #tellSharedIds(sharedIds: View['duplicateInstanceIds']): void {
    const ids = JSON.stringify(sharedIds);
    if (ids === this.#toldSharedIds) return;
    this.#toldSharedIds = ids;
    console.warn(JSON.stringify({ event: 'shared-instance-ids', sharedIds }));
  }
}

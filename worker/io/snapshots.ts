import { openSnapshot } from '../../shared/snapshot/seal.ts';
import { compareOrder, type Order, type Snapshot } from '../../shared/snapshot/snapshot.ts';
import { buildView, type View, type ViewOptions } from '../../shared/view.ts';
import type { Settings } from '../settings.ts';
import type { Sealed, Source } from './snapshot-sources.ts';

export type Lane = 'hub' | 'kv' | 'colo' | 'put';

/** What is held for one site. Kept through every failure: age never makes an outage. */
interface Held {
  snapshot: Snapshot | null;
  lane: Lane | null;
  /** When this isolate got it, epoch ms. */
  receivedAt: number;
  kvCheckedAt: number;
  lastError: string | null;
}

const NONE: Order = { epoch: 0, seq: 0 };
/** How old a check may be before a request starts the next one, in the background. */
const CHECK_EVERY_MS = 1_000;
/** A check that has not ended after this is taken for dead (its request was cancelled). */
const CHECK_LIMIT_MS = 6_000;
const KV_WHEN_HUB_ANSWERS_MS = 30_000;
const KV_WHEN_HUB_FAILS_MS = 5_000;

export interface SnapshotStoreOptions {
  settings: Pick<Settings, 'sites' | 'verifyKeys'>;
  hub: Source;
  kv: Source;
  now: () => number;
  view: Omit<ViewOptions, 'now'>;
}

/** Isolate memory in front of Hub and KV, stale-while-revalidate. Every document is verified here, whatever it came by. */
export class SnapshotStore {
  readonly #options: SnapshotStoreOptions;
  readonly #held: Map<string, Held>;
  #view: View | null = null;
  #checkedAt = 0;
  #checking = false;

  constructor(options: SnapshotStoreOptions) {
    this.#options = options;
    this.#held = new Map(
      options.settings.sites.map((site) => [
        site,
        { snapshot: null, lane: null, receivedAt: 0, kvCheckedAt: 0, lastError: null },
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

  sourceOf(site: string): { snapshot: Snapshot; lane: string } | null {
    const held = this.#held.get(site);
    return held?.snapshot ? { snapshot: held.snapshot, lane: held.lane ?? 'memory' } : null;
  }

  isCheckDue(now: number): boolean {
    return now - this.#checkedAt > (this.#checking ? CHECK_LIMIT_MS : CHECK_EVERY_MS);
  }

  /** Asks the lanes of every site. Never rejects. */
  async check(): Promise<void> {
    this.#checking = true;
    this.#checkedAt = this.#options.now();
    await Promise.all([...this.#held].map(([site, held]) => this.#checkSite(site, held)));
    this.#checking = false;
  }

  async #checkSite(site: string, held: Held): Promise<void> {
    const first = held.snapshot === null;
    const fromHub = this.#ask('hub', site, held);
    if (first) await Promise.all([fromHub, this.#ask('kv', site, held)]);
    const hubAnswered = await fromHub;
    const now = this.#options.now();
    const wait = hubAnswered && held.lane !== 'kv' ? KV_WHEN_HUB_ANSWERS_MS : KV_WHEN_HUB_FAILS_MS;
    if (now - held.kvCheckedAt > wait) await this.#ask('kv', site, held);
  }

  /** Whether the lane answered. */
  async #ask(lane: 'hub' | 'kv', site: string, held: Held): Promise<boolean> {
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
  async offer(site: string, sealed: Sealed, lane: Lane): Promise<Snapshot | null> {
    const held = this.#held.get(site);
    if (!held) return null;
    const opened = await openSnapshot(sealed, site, this.#options.settings.verifyKeys);
    if (!opened.ok) {
      held.lastError = `${lane}: ${opened.why}`;
      return null;
    }
    // Looked at after the await: another request may have brought a newer one meanwhile.
    if (held.snapshot && compareOrder(opened.snapshot, held.snapshot) <= 0) return opened.snapshot;
    held.snapshot = opened.snapshot;
    held.lane = lane;
    held.receivedAt = this.#options.now();
    held.lastError = null;
    this.#view = buildView(
      [...this.#held.values()].flatMap((one) => (one.snapshot ? [one.snapshot] : [])),
      { ...this.#options.view, now: this.#options.now() },
    );
    return opened.snapshot;
  }
}

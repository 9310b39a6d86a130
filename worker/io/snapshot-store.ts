import { elapsedMs } from '../../shared/elapsed.ts';
import { errorMessage } from '../../shared/error-message.ts';
import { Gcra } from '../../shared/limits/gcra.ts';
import { type SnapshotVerifyKey, verifySnapshot } from '../../shared/snapshot/signature.ts';
import {
  type OpenedSiteDirectory,
  openSiteDirectory,
  SITE_DIRECTORY,
  usableKeys,
} from '../../shared/snapshot/site-directory.ts';
import { compareSnapshotOrder, type Snapshot, type SnapshotOrder } from '../../shared/snapshot/snapshot.ts';
import { buildView, type View, type ViewOptions } from '../../shared/view.ts';
import {
  KV_OVERDUE_MS,
  KV_WITHOUT_HUB_MS,
  MAX_POLL_MS,
  MIN_POLL_MS,
  OVERDUE_AFTER_MS,
  pollIntervalMs,
  REQUESTS_PER_POLL,
} from '../polling.ts';
import type { EdgeSettings } from '../settings.ts';
import type { HubAnswer, HubFetcher, KvFetcher, SealedBytes, SnapshotOrders } from './snapshot-fetchers.ts';

/** How a snapshot reached this isolate: fetched from the Hub or KV, or sent to it by the agent. */
type SnapshotSource = 'hub' | 'kv' | 'put';

interface AcceptedSnapshot {
  readonly snapshot: Snapshot;
  readonly source: SnapshotSource;
}

/** Verified snapshots and the view built from them. */
interface PreparedSnapshots {
  readonly ok: true;
  readonly snapshots: readonly Snapshot[];
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

/** A refresh that takes longer was cancelled together with its request. */
const REFRESH_TIMEOUT_MS = 6_000;
/** A new isolate has an answer of its location's cache, or of a near Hub, within this time. */
const KV_AFTER_MS = 100;
/** Polls because of signs of trouble: two a minute on average, and ten at once. */
const EARLY_POLL_WINDOW_MS = 60_000;
const EARLY_POLLS_PER_WINDOW = 2;
const EARLY_POLL_BURST = 10;

interface SnapshotStoreOptions {
  settings: Pick<EdgeSettings, 'sites' | 'verifyKeys' | 'directoryKeys'>;
  hub: HubFetcher;
  kv: KvFetcher;
  now: () => number;
  random: () => number;
  view: Omit<ViewOptions, 'previous'>;
}

/** The snapshots in this isolate's memory, refreshed from the Hub and KV. Verifies every snapshot, whatever its source. */
export class SnapshotStore {
  readonly #options: SnapshotStoreOptions;
  readonly #sites: Map<string, SiteState>;
  #verifyKeys: readonly SnapshotVerifyKey[];
  /** The accepted site directory. */
  #directorySeq = 0;
  #directoryError: string | null = null;
  #directoryKvAt = 0;
  readonly #earlyPolls = new Gcra(EARLY_POLL_WINDOW_MS, EARLY_POLL_BURST, 1);
  #view: View | null = null;
  #refreshStartedAt = 0;
  #isRefreshing = false;
  /** When the Hub said what this isolate knows. */
  #hubReadAt = 0;
  #pollIntervalMs = 0;
  #requestsSincePoll = 0;
  readonly #reads = { hub: 0, cache: 0, kv: 0 };
  /** When an instance of any site last changed its state. */
  #changedAt = 0;
  #loggedSharedIds = '';

  constructor(options: SnapshotStoreOptions) {
    this.#options = options;
    this.#verifyKeys = options.settings.verifyKeys;
    this.#sites = new Map(options.settings.sites.map((site) => [site, newSiteState()]));
  }

  /** The view to route by; null until the first snapshot is accepted. */
  get view(): View | null {
    return this.#view;
  }

  /** How often this isolate polls now, and how often it has read each source. */
  get polling() {
    return { intervalMs: Math.round(this.#pollIntervalMs), reads: { ...this.#reads } };
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

  /** The served sites: those of `SITES`, and those of the site directory. */
  get sites(): readonly string[] {
    return [...this.#sites.keys()];
  }

  get verifyKeys(): readonly SnapshotVerifyKey[] {
    return this.#verifyKeys;
  }

  /** Null: the edge has no key for a site directory. */
  get directory() {
    if (this.#options.settings.directoryKeys.length === 0) return null;
    return { seq: this.#directorySeq, lastError: this.#directoryError };
  }

  forSite(site: string): AcceptedSnapshot | null {
    return this.#sites.get(site)?.accepted ?? null;
  }

  /** Counts a request, and says whether the snapshots should be refreshed now. */
  countRequest(now: number): boolean {
    this.#requestsSincePoll += 1;
    return this.isRefreshDue(now);
  }

  isRefreshDue(now: number): boolean {
    if (this.#isRefreshing) return elapsedMs(this.#refreshStartedAt, now) > REFRESH_TIMEOUT_MS;
    const elapsed = elapsedMs(this.#hubReadAt, now);
    const interval = this.#requestsSincePoll >= REQUESTS_PER_POLL ? MIN_POLL_MS : this.#pollIntervalMs;
    return elapsed > interval;
  }

  /**
   * Without a snapshot: whether a request looks for one. A search without result is not repeated at once: every request
   * would wait for the Hub and KV, and load them.
   */
  isSearchDue(now: number): boolean {
    return this.#isRefreshing || elapsedMs(this.#hubReadAt, now) > MIN_POLL_MS;
  }

  /** Something is wrong with an instance or a gateway, so a change is likely: the next poll is early, within a budget. */
  expectChange(now: number): void {
    if (this.#pollIntervalMs <= MIN_POLL_MS || elapsedMs(this.#hubReadAt, now) < MIN_POLL_MS) return;
    if (this.#earlyPolls.take('', EARLY_POLLS_PER_WINDOW, 1, now).allowed) this.#pollIntervalMs = MIN_POLL_MS;
  }

  /** Fetches from the Hub, and from KV when that is due. Never rejects. */
  async refresh(): Promise<void> {
    this.#isRefreshing = true;
    this.#refreshStartedAt = this.#options.now();
    const reading = this.#readHub();
    await Promise.all(
      [...this.#sites].map(([site, state]) =>
        state.accepted === null ? this.#firstOf(site, state, reading) : this.#update(site, state, reading),
      ),
    );
    this.#isRefreshing = false;
  }

  /** Reads the Hub and accepts what is newer. Returns the orders it holds; null: it failed. Sets the time of the next poll. */
  async #readHub(): Promise<SnapshotOrders | null> {
    const { now } = this.#options;
    const directorySeq = this.#directorySeq;
    // Only an answer that is clearly newer than the last one is worth using.
    const maxAgeMs = Math.min(MAX_POLL_MS, elapsedMs(this.#hubReadAt, now())) / 2;
    this.#requestsSincePoll = 0;
    try {
      const answer = await this.#askHub(maxAgeMs);
      // A new directory names sites that this answer does not have.
      const isComplete = this.#directorySeq === directorySeq;
      const { orders, ageMs } = isComplete ? answer : await this.#askHub(MAX_POLL_MS);
      this.#setNextPoll(orders, ageMs);
      return orders;
    } catch (error) {
      for (const state of this.#sites.values()) state.lastError = `hub: ${errorMessage(error)}`;
      this.#hubReadAt = now();
      this.#pollIntervalMs = MIN_POLL_MS;
      await this.#readDirectoryFromKv();
      return null;
    }
  }

  async #askHub(maxAgeMs: number): Promise<HubAnswer> {
    const known = new Map([...this.#sites].map(([site, state]) => [site, orderOf(state)]));
    if (this.directory) known.set(SITE_DIRECTORY, { epoch: 0, seq: this.#directorySeq });
    const answer = await this.#options.hub(known, maxAgeMs);
    this.#reads[answer.from] += 1;
    if (answer.newer.size > 0) await this.offer(answer.newer, 'hub');
    return answer;
  }

  async #readDirectoryFromKv(): Promise<void> {
    const now = this.#options.now();
    if (!this.directory || elapsedMs(this.#directoryKvAt, now) < KV_WITHOUT_HUB_MS) return;
    this.#directoryKvAt = now;
    try {
      const sealed = await this.#options.kv(SITE_DIRECTORY);
      this.#reads.kv += 1;
      if (sealed) await this.#offerDirectory(sealed, 'kv');
    } catch (error) {
      this.#directoryError = `kv: ${errorMessage(error)}`;
    }
  }

  #setNextPoll(orders: SnapshotOrders, ageMs: number): void {
    const now = this.#options.now();
    this.#hubReadAt = now - ageMs;
    const isIncomplete = [...this.#sites].some(([site, state]) => isBehind(state, orders.get(site)));
    this.#pollIntervalMs = isIncomplete
      ? MIN_POLL_MS
      : pollIntervalMs({
          changeAgeMs: now - this.#changedAt,
          hasDirectService: hasDirectService(this.#view),
          random: this.#options.random(),
        });
  }

  /**
   * Asks KV as well when the Hub takes long. The first valid snapshot is enough; what the other one brings later is
   * accepted, too.
   */
  async #firstOf(site: string, state: SiteState, reading: Promise<unknown>): Promise<void> {
    const found = Promise.withResolvers<void>();
    const fromKv = async (): Promise<void> => {
      await Promise.race([reading, delay(KV_AFTER_MS)]);
      if (!state.accepted) await this.#fetchFromKv(site, state);
    };
    const sources = [reading, fromKv()].map((source) =>
      source.then(() => {
        if (state.accepted) found.resolve();
      }),
    );
    await Promise.race([found.promise, Promise.all(sources)]);
  }

  async #update(site: string, state: SiteState, reading: Promise<SnapshotOrders | null>): Promise<void> {
    const orders = await reading;
    const now = this.#options.now();
    const interval = kvIntervalMs(state, orders?.get(site), now);
    if (elapsedMs(state.kvFetchedAt, now) > interval) await this.#fetchFromKv(site, state);
  }

  async #fetchFromKv(site: string, state: SiteState): Promise<void> {
    state.kvFetchedAt = this.#options.now();
    try {
      const sealed = await this.#options.kv(site);
      this.#reads.kv += 1;
      if (sealed) await this.offer(new Map([[site, sealed]]), 'kv');
    } catch (error) {
      state.lastError = `kv: ${errorMessage(error)}`;
    }
  }

  /** Accepts sealed snapshots whose signatures are valid, that are newer, and from which a view can be built. */
  async offer(sealed: ReadonlyMap<string, SealedBytes>, source: SnapshotSource): Promise<void> {
    const directory = sealed.get(SITE_DIRECTORY);
    // First, because it says whose snapshots are valid.
    if (directory) await this.#offerDirectory(directory, source);
    const bySite = [...sealed].filter(([name]) => name !== SITE_DIRECTORY);
    const opened = await Promise.all(bySite.map(([site, bytes]) => this.#open(site, bytes, source)));
    // Compared after the await: another request may have brought a newer one in the meantime.
    const snapshots = opened.flat().filter((snapshot) => this.#isNewer(snapshot));
    if (snapshots.length === 0) return;
    const built = this.prepare(snapshots);
    if (built.ok) return this.accept(built, source);
    // One that the edge cannot route by must not keep the others out.
    for (const snapshot of snapshots) {
      const alone = this.prepare([snapshot]);
      if (alone.ok) this.accept(alone, source);
      else this.#setError(snapshot.site, `${source}: ${alone.why}`);
    }
  }

  async #offerDirectory(sealed: SealedBytes, source: SnapshotSource): Promise<void> {
    const opened = await openSiteDirectory(sealed, this.#options.settings.directoryKeys);
    if (opened.ok) this.acceptDirectory(opened);
    else this.#directoryError = `${source}: ${opened.why}`;
  }

  /** Serves the sites of a verified directory beside those of `SITES`, unless a newer one has been accepted. */
  acceptDirectory({ seq, keys }: OpenedSiteDirectory): void {
    if (seq <= this.#directorySeq) return;
    const { settings } = this.#options;
    const added = usableKeys(keys, settings);
    const sites = new Set([...settings.sites, ...added.map(({ site }) => site)]);
    this.#directorySeq = seq;
    this.#directoryError = null;
    this.#verifyKeys = [...settings.verifyKeys, ...added];
    const removed = [...this.#sites.keys()].filter((site) => !sites.has(site));
    for (const site of removed) this.#sites.delete(site);
    for (const site of sites) if (!this.#sites.has(site)) this.#sites.set(site, newSiteState());
    const built = this.prepare([]);
    if (removed.length > 0 && built.ok) this.#view = built.view;
    // The next poll brings the snapshots of new sites.
    this.#pollIntervalMs = 0;
  }

  async #open(site: string, sealed: SealedBytes, source: SnapshotSource): Promise<Snapshot[]> {
    const opened = await verifySnapshot(sealed, site, this.#verifyKeys);
    if (opened.ok) return [opened.snapshot];
    this.#setError(site, `${source}: ${opened.why}`);
    return [];
  }

  #setError(site: string, why: string): void {
    const state = this.#sites.get(site);
    if (state) state.lastError = why;
  }

  /** Builds the view with these snapshots in place of their sites' current ones, or says why that is impossible. */
  prepare(replacements: readonly Snapshot[]): PreparedSnapshots | { ok: false; why: string } {
    const bySite = new Map(replacements.map((snapshot) => [snapshot.site, snapshot]));
    const snapshots = [...this.#sites].flatMap(
      ([site, { accepted }]) => bySite.get(site) ?? accepted?.snapshot ?? [],
    );
    const base = this.#view;
    try {
      const view = buildView(snapshots, { ...this.#options.view, previous: base });
      return { ok: true, snapshots: replacements, base, view };
    } catch (error) {
      return { ok: false, why: `cannot route by this snapshot: ${errorMessage(error)}` };
    }
  }

  /** Routes by verified snapshots from now on, except those that are not newer than the accepted ones. */
  accept(prepared: PreparedSnapshots, source: SnapshotSource): void {
    const newer = prepared.snapshots.filter((snapshot) => this.#isNewer(snapshot));
    if (newer.length === 0) return;
    // Another view may have been accepted since: its isolate state and the snapshots of its sites must be kept.
    const isCurrent = prepared.base === this.#view && newer.length === prepared.snapshots.length;
    const built = isCurrent ? prepared : this.prepare(newer);
    if (!built.ok) return;
    for (const snapshot of newer) this.#setAccepted(snapshot, source);
    this.#view = built.view;
    this.#logSharedIds(built.view.duplicateInstanceIds);
  }

  #setAccepted(snapshot: Snapshot, source: SnapshotSource): void {
    const state = this.#sites.get(snapshot.site);
    if (!state) return;
    state.accepted = { snapshot, source };
    state.lastError = null;
    this.#noteChange(snapshot);
  }

  #isNewer(snapshot: Snapshot): boolean {
    const state = this.#sites.get(snapshot.site);
    if (!state) return false;
    const { accepted } = state;
    return !accepted || compareSnapshotOrder(snapshot, accepted.snapshot) > 0;
  }

  #noteChange(snapshot: Snapshot): void {
    const changedAt = lastStateChange(snapshot);
    if (changedAt <= this.#changedAt) return;
    this.#changedAt = changedAt;
    this.#pollIntervalMs = MIN_POLL_MS;
  }

  /** Two sites may use one instance id, but then `x-acgs-instance` and the logs are ambiguous. */
  #logSharedIds(sharedIds: View['duplicateInstanceIds']): void {
    const ids = JSON.stringify(sharedIds);
    if (sharedIds.length === 0 || ids === this.#loggedSharedIds) return;
    this.#loggedSharedIds = ids;
    console.warn(JSON.stringify({ event: 'shared-instance-ids', sharedIds }));
  }
}

const newSiteState = (): SiteState => ({ accepted: null, kvFetchedAt: 0, lastError: null });

const delay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Whether the Hub has a newer snapshot than this isolate. Undefined: the Hub failed, so that is unknown. */
const isBehind = (state: SiteState, order: SnapshotOrder | undefined): boolean =>
  order === undefined || compareSnapshotOrder(order, orderOf(state)) > 0;

function orderOf({ accepted }: SiteState): SnapshotOrder {
  return accepted ? { epoch: accepted.snapshot.epoch, seq: accepted.snapshot.seq } : { epoch: 0, seq: 0 };
}

/** `hubOrder`: what the Hub holds for the site; undefined: it failed, or it does not know the site. */
function kvIntervalMs({ accepted }: SiteState, hubOrder: SnapshotOrder | undefined, now: number): number {
  if (!accepted || !hubOrder || compareSnapshotOrder(hubOrder, accepted.snapshot) < 0) {
    return KV_WITHOUT_HUB_MS;
  }
  const isOverdue = now - accepted.snapshot.issuedAt > OVERDUE_AFTER_MS;
  return isOverdue ? KV_OVERDUE_MS : Number.POSITIVE_INFINITY;
}

function hasDirectService(view: View | null): boolean {
  return [...(view?.services.values() ?? [])].some(({ policy }) => policy.path === 'direct');
}

/** Epoch milliseconds; 0: there are no instances. */
function lastStateChange({ services }: Snapshot): number {
  return Object.values(services).reduce(
    (latest, { instances }) => instances.reduce((newest, { since }) => Math.max(newest, since), latest),
    0,
  );
}

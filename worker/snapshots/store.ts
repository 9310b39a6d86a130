import { errorMessage } from '../../shared/error-message.ts';
import { type SnapshotVerifyKey, verifySnapshot } from '../../shared/snapshot/signature.ts';
import {
  type OpenedSiteDirectory,
  openSiteDirectory,
  SITE_DIRECTORY,
  usableKeys,
} from '../../shared/snapshot/site-directory.ts';
import { compareSnapshotOrder, type Snapshot } from '../../shared/snapshot/snapshot.ts';
import { buildView, type View, type ViewOptions } from '../../shared/view.ts';
import type { EdgeSettings } from '../settings.ts';
import type { SealedBytes } from './fetchers.ts';
import type { PollSchedule } from './poll-schedule.ts';

/** How a snapshot reached this isolate: fetched from the Hub or KV, or sent to it by the agent. */
type SnapshotSource = 'hub' | 'kv' | 'put';

export interface AcceptedSnapshot {
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
  lastError: string | null;
}

interface SnapshotStoreOptions {
  settings: Pick<EdgeSettings, 'sites' | 'verifyKeys' | 'directoryKeys'>;
  /** Polls early after a new site directory and after a change of the state of an instance. */
  polls: PollSchedule;
  view: Omit<ViewOptions, 'previous'>;
}

/** The snapshots in this isolate's memory, and the view built from them. Verifies the snapshots of every source. */
export class SnapshotStore {
  readonly #options: SnapshotStoreOptions;
  readonly #sites: Map<string, SiteState>;
  #verifyKeys: readonly SnapshotVerifyKey[];
  /** The accepted site directory. */
  #directorySeq = 0;
  #directoryError: string | null = null;
  #view: View | null = null;
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

  /** Accepts sealed snapshots whose signatures are valid, that are newer, and from which a view can be built. */
  async offer(sealed: ReadonlyMap<string, SealedBytes>, source: SnapshotSource): Promise<void> {
    const directory = sealed.get(SITE_DIRECTORY);
    // First, because it contains the keys that verify snapshots.
    if (directory) await this.#offerDirectory(directory, source);
    const bySite = [...sealed].filter(([name]) => name !== SITE_DIRECTORY);
    const opened = await Promise.all(bySite.map(([site, bytes]) => this.#open(site, bytes, source)));
    // Compared after the await: another request may have brought a newer one in the meantime.
    const snapshots = opened.flat().filter((snapshot) => this.#isNewer(snapshot));
    if (snapshots.length === 0) return;
    const built = this.prepare(snapshots);
    if (built.ok) return this.accept(built, source);
    // A snapshot without a valid view must not keep the others out.
    for (const snapshot of snapshots) {
      const alone = this.prepare([snapshot]);
      if (alone.ok) this.accept(alone, source);
      else this.setError(snapshot.site, `${source}: ${alone.why}`);
    }
  }

  async #offerDirectory(sealed: SealedBytes, source: SnapshotSource): Promise<void> {
    const opened = await openSiteDirectory(sealed, this.#options.settings.directoryKeys);
    if (opened.ok) this.acceptDirectory(opened);
    else this.setError(SITE_DIRECTORY, `${source}: ${opened.why}`);
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
    this.#options.polls.pollAtOnce();
  }

  async #open(site: string, sealed: SealedBytes, source: SnapshotSource): Promise<Snapshot[]> {
    const opened = await verifySnapshot(sealed, site, this.#verifyKeys);
    if (opened.ok) return [opened.snapshot];
    this.setError(site, `${source}: ${opened.why}`);
    return [];
  }

  /** `name`: a site, or the site directory. */
  setError(name: string, why: string): void {
    if (name === SITE_DIRECTORY) this.#directoryError = why;
    const state = this.#sites.get(name);
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
    this.#options.polls.noteChange(lastStateChange(snapshot));
  }

  #isNewer(snapshot: Snapshot): boolean {
    const state = this.#sites.get(snapshot.site);
    if (!state) return false;
    const { accepted } = state;
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

const newSiteState = (): SiteState => ({ accepted: null, lastError: null });

/** Epoch milliseconds; 0: there are no instances. */
function lastStateChange({ services }: Snapshot): number {
  return Object.values(services).reduce(
    (latest, { instances }) => instances.reduce((newest, { since }) => Math.max(newest, since), latest),
    0,
  );
}

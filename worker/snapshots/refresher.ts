import { elapsedMs } from '../../shared/elapsed.ts';
import { errorMessage } from '../../shared/error-message.ts';
import { SITE_DIRECTORY } from '../../shared/snapshot/site-directory.ts';
import { compareSnapshotOrder, type SnapshotOrder } from '../../shared/snapshot/snapshot.ts';
import type { View } from '../../shared/view.ts';
import type { HubAnswer, HubFetcher, KvFetcher, SnapshotOrders } from './fetchers.ts';
import type { PollSchedule } from './poll-schedule.ts';
import { KV_OVERDUE_MS, KV_WITHOUT_HUB_MS, MAX_POLL_MS, OVERDUE_AFTER_MS } from './polling.ts';
import type { AcceptedSnapshot, SnapshotStore } from './store.ts';

/** A new isolate reads KV as well if neither the cache of its location nor the Hub has answered within this time. */
const KV_AFTER_MS = 100;

interface SnapshotRefresherOptions {
  store: SnapshotStore;
  polls: PollSchedule;
  hub: HubFetcher;
  kv: KvFetcher;
  now: () => number;
  random: () => number;
  /** Resolves after that many milliseconds. */
  wait?: (ms: number) => Promise<void>;
}

/** Fetches snapshots and the site directory from the Hub and KV, and offers them to the store. */
export class SnapshotRefresher {
  readonly #options: SnapshotRefresherOptions;
  /** By site, and for the site directory: when KV was last asked. */
  readonly #kvAskedAt = new Map<string, number>();
  readonly #reads = { hub: 0, cache: 0, kv: 0 };

  constructor(options: SnapshotRefresherOptions) {
    this.#options = options;
  }

  /** How often this isolate polls now, and how often it has read each source. */
  get polling() {
    return { intervalMs: Math.round(this.#options.polls.intervalMs), reads: { ...this.#reads } };
  }

  /** Fetches from the Hub, and from KV when that is due. Never rejects. */
  async refresh(): Promise<void> {
    const { store, polls, now } = this.#options;
    const maxAgeMs = polls.start(now());
    const reading = this.#readHub(maxAgeMs);
    await Promise.all(
      store.sites.map((site) =>
        store.forSite(site) ? this.#update(site, reading) : this.#firstOf(site, reading),
      ),
    );
    polls.end();
  }

  /**
   * Reads the Hub, accepts what is newer, and sets the time of the next poll. Returns the orders of the Hub; null if it
   * failed.
   */
  async #readHub(maxAgeMs: number): Promise<SnapshotOrders | null> {
    const { store } = this.#options;
    const directorySeq = store.directory?.seq;
    try {
      const answer = await this.#askHub(maxAgeMs);
      // A new directory names sites that this answer lacks.
      const isComplete = store.directory?.seq === directorySeq;
      const { orders, ageMs } = isComplete ? answer : await this.#askHub(MAX_POLL_MS);
      this.#setNextPoll(orders, ageMs);
      return orders;
    } catch (error) {
      for (const site of store.sites) store.setError(site, `hub: ${errorMessage(error)}`);
      this.#setNextPoll(null, 0);
      if (store.directory) await this.#readDirectoryFromKv();
      return null;
    }
  }

  async #askHub(maxAgeMs: number): Promise<HubAnswer> {
    const { store, hub } = this.#options;
    const known = new Map(store.sites.map((site) => [site, orderOf(store.forSite(site))]));
    if (store.directory) known.set(SITE_DIRECTORY, { epoch: 0, seq: store.directory.seq });
    const answer = await hub(known, maxAgeMs);
    this.#reads[answer.from] += 1;
    if (answer.newer.size > 0) await store.offer(answer.newer, 'hub');
    return answer;
  }

  #setNextPoll(orders: SnapshotOrders | null, ageMs: number): void {
    const { store, polls, random } = this.#options;
    const now = this.#options.now();
    const isBehind = (site: string): boolean => {
      const order = orders?.get(site);
      return order === undefined || compareSnapshotOrder(order, orderOf(store.forSite(site))) > 0;
    };
    const result = {
      readAt: now - ageMs,
      isIncomplete: orders === null || store.sites.some(isBehind),
      hasDirectService: hasDirectService(store.view),
      random: random(),
    };
    polls.read(result, now);
  }

  /**
   * Asks KV as well when the Hub takes long. The first valid snapshot is enough; a later one from the other source is
   * accepted, too.
   */
  async #firstOf(site: string, reading: Promise<unknown>): Promise<void> {
    const { store, wait = delay } = this.#options;
    const found = Promise.withResolvers<void>();
    const fromKv = async (): Promise<void> => {
      await Promise.race([reading, wait(KV_AFTER_MS)]);
      if (!store.forSite(site)) await this.#fetchFromKv(site);
    };
    const sources = [reading, fromKv()].map((source) =>
      source.then(() => {
        if (store.forSite(site)) found.resolve();
      }),
    );
    await Promise.race([found.promise, Promise.all(sources)]);
  }

  async #update(site: string, reading: Promise<SnapshotOrders | null>): Promise<void> {
    const { store } = this.#options;
    const orders = await reading;
    const intervalMs = kvIntervalMs(store.forSite(site), orders?.get(site), this.#options.now());
    if (this.#sinceKvMs(site) > intervalMs) await this.#fetchFromKv(site);
  }

  async #readDirectoryFromKv(): Promise<void> {
    if (this.#sinceKvMs(SITE_DIRECTORY) >= KV_WITHOUT_HUB_MS) await this.#fetchFromKv(SITE_DIRECTORY);
  }

  #sinceKvMs(name: string): number {
    return elapsedMs(this.#kvAskedAt.get(name) ?? 0, this.#options.now());
  }

  /** `name`: a site, or the site directory. */
  async #fetchFromKv(name: string): Promise<void> {
    const { store, kv, now } = this.#options;
    this.#kvAskedAt.set(name, now());
    try {
      const sealed = await kv(name);
      this.#reads.kv += 1;
      if (sealed) await store.offer(new Map([[name, sealed]]), 'kv');
    } catch (error) {
      store.setError(name, `kv: ${errorMessage(error)}`);
    }
  }
}

const delay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A copy: it is sent to the Hub. */
function orderOf(accepted: AcceptedSnapshot | null): SnapshotOrder {
  return accepted ? { epoch: accepted.snapshot.epoch, seq: accepted.snapshot.seq } : { epoch: 0, seq: 0 };
}

/** `hubOrder`: the order of the site at the Hub; undefined if the Hub failed or does not know the site. */
function kvIntervalMs(
  accepted: AcceptedSnapshot | null,
  hubOrder: SnapshotOrder | undefined,
  now: number,
): number {
  if (!accepted || !hubOrder || compareSnapshotOrder(hubOrder, accepted.snapshot) < 0) {
    return KV_WITHOUT_HUB_MS;
  }
  const isOverdue = now - accepted.snapshot.issuedAt > OVERDUE_AFTER_MS;
  return isOverdue ? KV_OVERDUE_MS : Number.POSITIVE_INFINITY;
}

function hasDirectService(view: View | null): boolean {
  return [...(view?.services.values() ?? [])].some(({ policy }) => policy.path === 'direct');
}

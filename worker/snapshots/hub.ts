import { DurableObject } from 'cloudflare:workers';
import { compareSnapshotOrder, type SnapshotOrder, snapshotKey } from '../../shared/snapshot/snapshot.ts';

interface HubBindings {
  SNAPSHOTS?: KVNamespace;
  SNAPSHOT_HUB: DurableObjectNamespace<SnapshotHub>;
}

interface StoredSnapshot extends SnapshotOrder {
  site: string;
  sealed: Uint8Array<ArrayBuffer>;
}

type HubAcceptResult = { accepted: boolean; current: SnapshotOrder };

interface HubContent {
  orders: Map<string, SnapshotOrder>;
  /** The snapshots that are newer than the known ones, as many as fit into one answer. */
  newer: Map<string, Uint8Array<ArrayBuffer>>;
}

/** KV accepts one write per second and key. */
const KV_WRITE_INTERVAL_MS = 1_000;
const KV_RETRY_MS = 5_000;
/** A larger answer is cut off, and the reader asks again for the rest. */
const MAX_ANSWER_BYTES = 4_000_000;
const NONE: SnapshotOrder = { epoch: 0, seq: 0 };

/**
 * One object for all sites, so that an isolate gets all changes with one request. It decides which (epoch, seq) of a
 * site is newest, and isolates learn of a change here sooner than from KV, which may take a minute. The Worker verifies
 * the signature before it calls, and every reader verifies it again. The Hub also writes KV, because one writer can
 * keep to KV's rate limit.
 */
export class SnapshotHub extends DurableObject<HubBindings> {
  /** The order of each known site. `NONE`: no snapshot yet. */
  readonly #orders: Map<string, SnapshotOrder>;
  /** Sites whose newest snapshot is not in KV yet. */
  readonly #kvPending: Set<string>;
  #kvWrittenAt = 0;

  constructor(ctx: DurableObjectState, env: HubBindings) {
    super(ctx, env);
    this.#orders = ctx.storage.kv.get<Map<string, SnapshotOrder>>('orders') ?? new Map();
    this.#kvPending = ctx.storage.kv.get<Set<string>>('kv-pending') ?? new Set();
  }

  /** Accepts the snapshot only when its (epoch, seq) is greater than the stored one. */
  async accept(next: StoredSnapshot, toKv: boolean): Promise<HubAcceptResult> {
    const current = await this.order(next.site);
    if (compareSnapshotOrder(next, current) <= 0) return { accepted: false, current };
    this.#store(next);
    if (toKv && this.env.SNAPSHOTS) await this.#scheduleKvWrite(next.site);
    return { accepted: true, current: orderOf(next) };
  }

  async order(site: string): Promise<SnapshotOrder> {
    if (!this.#orders.has(site)) await this.#adopt(site);
    return this.#orders.get(site) ?? NONE;
  }

  /** The order of each site in `known`, and the snapshots that are newer. */
  async read(known: ReadonlyMap<string, SnapshotOrder>): Promise<HubContent> {
    const orders = new Map<string, SnapshotOrder>();
    const newer: HubContent['newer'] = new Map();
    let bytes = 0;
    // If taking over a site fails now, the site counts as one without a snapshot.
    await Promise.allSettled([...known.keys()].map((site) => this.order(site)));
    for (const [site, knownOrder] of known) {
      const order = this.#orders.get(site) ?? NONE;
      orders.set(site, order);
      if (compareSnapshotOrder(order, knownOrder) <= 0 || bytes >= MAX_ANSWER_BYTES) continue;
      const sealed = this.ctx.storage.kv.get<Uint8Array<ArrayBuffer>>(storageKey(site));
      if (!sealed) continue;
      newer.set(site, sealed);
      bytes += sealed.length;
    }
    return { orders, newer };
  }

  /** The snapshot that this object stored if it is one of an earlier version, which had one object per site. */
  legacySnapshot(): StoredSnapshot | null {
    return this.ctx.storage.kv.get<StoredSnapshot>('held') ?? null;
  }

  override async alarm(): Promise<void> {
    await this.#writeKv();
  }

  /**
   * Takes over the snapshot of the site's former object. Otherwise the Hub could accept one that isolates refuse as
   * older.
   */
  async #adopt(site: string): Promise<void> {
    const legacy = await this.env.SNAPSHOT_HUB.getByName(site).legacySnapshot();
    // Another request may have been faster.
    if (this.#orders.has(site)) return;
    if (legacy) this.#store(legacy);
    else this.#orders.set(site, NONE);
  }

  #store(snapshot: StoredSnapshot): void {
    this.#orders.set(snapshot.site, orderOf(snapshot));
    this.ctx.storage.kv.put(storageKey(snapshot.site), snapshot.sealed);
    this.ctx.storage.kv.put('orders', this.#orders);
  }

  /** By an alarm: unlike a background task it survives eviction and is retried. */
  async #scheduleKvWrite(site: string): Promise<void> {
    this.#kvPending.add(site);
    this.ctx.storage.kv.put('kv-pending', this.#kvPending);
    if ((await this.ctx.storage.getAlarm()) !== null) return;
    const now = Date.now();
    // At most one interval, even when the clock was set back.
    const wait = Math.min(KV_WRITE_INTERVAL_MS, this.#kvWrittenAt + KV_WRITE_INTERVAL_MS - now);
    await this.ctx.storage.setAlarm(now + Math.max(0, wait));
  }

  async #writeKv(): Promise<void> {
    this.#kvWrittenAt = Date.now();
    const written = await Promise.all([...this.#kvPending].map((site) => this.#writeSiteToKv(site)));
    this.ctx.storage.kv.put('kv-pending', this.#kvPending);
    if (written.includes(false)) await this.ctx.storage.setAlarm(Date.now() + KV_RETRY_MS);
  }

  /** Whether KV accepted the site's snapshot. */
  async #writeSiteToKv(site: string): Promise<boolean> {
    const order = this.#orders.get(site);
    const sealed = this.ctx.storage.kv.get<Uint8Array<ArrayBuffer>>(storageKey(site));
    try {
      if (sealed) await this.env.SNAPSHOTS?.put(snapshotKey(site), sealed);
      // A snapshot that was accepted in the meantime has an alarm of its own.
      if (this.#orders.get(site) === order) this.#kvPending.delete(site);
      return true;
    } catch (error) {
      console.warn(JSON.stringify({ event: 'kv-write-failed', site, error: String(error) }));
      return false;
    }
  }
}

const storageKey = (site: string): string => `snapshot:${site}`;

const orderOf = ({ epoch, seq }: SnapshotOrder): SnapshotOrder => ({ epoch, seq });

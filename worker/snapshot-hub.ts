import { DurableObject } from 'cloudflare:workers';
import { compareSnapshotOrder, type SnapshotOrder, snapshotKey } from '../shared/snapshot/snapshot.ts';

interface HubBindings {
  SNAPSHOTS?: KVNamespace;
}

interface StoredSnapshot extends SnapshotOrder {
  site: string;
  sealed: Uint8Array<ArrayBuffer>;
}

type HubAcceptResult = { accepted: boolean; current: SnapshotOrder };

/** KV accepts one write per second and key. */
const KV_WRITE_INTERVAL_MS = 1_000;
const KV_RETRY_MS = 5_000;

/**
 * One object per site. It decides which (epoch, seq) is newest, and isolates learn of a change here in one or two seconds,
 * where KV may take a minute. The Worker verifies the signature before it calls, and every reader verifies it again. The
 * Hub also writes KV, because one writer can keep to KV's rate limit.
 */
export class SnapshotHub extends DurableObject<HubBindings> {
  #stored: StoredSnapshot | null;
  #kvWrittenAt = 0;

  constructor(ctx: DurableObjectState, env: HubBindings) {
    super(ctx, env);
    this.#stored = ctx.storage.kv.get<StoredSnapshot>('held') ?? null;
  }

  /** Accepts the snapshot only when its (epoch, seq) is greater than the stored one. */
  async accept(next: StoredSnapshot, toKv: boolean): Promise<HubAcceptResult> {
    if (this.#stored && compareSnapshotOrder(next, this.#stored) <= 0) {
      return { accepted: false, current: orderOf(this.#stored) };
    }
    this.ctx.storage.kv.put('held', next);
    this.#stored = next;
    if (toKv && this.env.SNAPSHOTS) await this.#scheduleKvWrite();
    return { accepted: true, current: orderOf(next) };
  }

  order(): SnapshotOrder {
    return this.#stored ? orderOf(this.#stored) : { epoch: 0, seq: 0 };
  }

  /** The snapshot when it is newer than `known`, else `unchanged`. Null: none is stored. */
  read(known: SnapshotOrder): 'unchanged' | (SnapshotOrder & { sealed: Uint8Array<ArrayBuffer> }) | null {
    if (!this.#stored) return null;
    if (compareSnapshotOrder(this.#stored, known) <= 0) return 'unchanged';
    return { ...orderOf(this.#stored), sealed: this.#stored.sealed };
  }

  override async alarm(): Promise<void> {
    await this.#writeKv();
  }

  /** By an alarm: unlike a background task it survives eviction and is retried. */
  async #scheduleKvWrite(): Promise<void> {
    if ((await this.ctx.storage.getAlarm()) !== null) return;
    const now = Date.now();
    // At most one interval, even when the clock was set back.
    const wait = Math.min(KV_WRITE_INTERVAL_MS, this.#kvWrittenAt + KV_WRITE_INTERVAL_MS - now);
    await this.ctx.storage.setAlarm(now + Math.max(0, wait));
  }

  async #writeKv(): Promise<void> {
    const stored = this.#stored;
    if (!stored || !this.env.SNAPSHOTS) return;
    this.#kvWrittenAt = Date.now();
    try {
      await this.env.SNAPSHOTS.put(snapshotKey(stored.site), stored.sealed);
    } catch (error) {
      console.warn(JSON.stringify({ event: 'kv-write-failed', site: stored.site, error: String(error) }));
      await this.ctx.storage.setAlarm(Date.now() + KV_RETRY_MS);
    }
  }
}

const orderOf = ({ epoch, seq }: SnapshotOrder): SnapshotOrder => ({ epoch, seq });

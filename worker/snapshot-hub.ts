import { DurableObject } from 'cloudflare:workers';
import { compareSnapshotOrder, type SnapshotOrder, snapshotKey } from '../shared/snapshot/snapshot.ts';

interface HubBindings {
  SNAPSHOTS?: KVNamespace;
}

interface StoredSnapshot extends SnapshotOrder {
  site: string;
  sealed: Uint8Array<ArrayBuffer>;
}

export type HubAcceptResult = { accepted: boolean; current: SnapshotOrder };

/** KV takes one write a second per key. */
const KV_SPACING_MS = 1_000;
const KV_RETRY_MS = 5_000;

/**
 * One object per site: the arbiter of (epoch, seq), and the fast lane by which isolates see a change in a second or two
 * where KV may take a minute. The Worker has verified the signature before it calls; readers verify again. It also feeds
 * KV, because only one place can keep to KV's limit of one write a second per key.
 */
export class SnapshotHub extends DurableObject<HubBindings> {
  #held: StoredSnapshot | null;
  #kvWrittenAt = 0;

  constructor(ctx: DurableObjectState, env: HubBindings) {
    super(ctx, env);
    this.#held = ctx.storage.kv.get<StoredSnapshot>('held') ?? null;
  }

  /** Accepts only a greater pair. */
  async accept(next: StoredSnapshot, toKv: boolean): Promise<HubAcceptResult> {
    if (this.#held && compareSnapshotOrder(next, this.#held) <= 0) {
      return { accepted: false, current: orderOf(this.#held) };
    }
    this.ctx.storage.kv.put('held', next);
    this.#held = next;
    if (toKv && this.env.SNAPSHOTS) await this.#scheduleKv();
    return { accepted: true, current: orderOf(next) };
  }

  order(): SnapshotOrder {
    return this.#held ? orderOf(this.#held) : { epoch: 0, seq: 0 };
  }

  /** The sealed snapshot if it is newer than `known`, `unchanged`, or null when there is none. */
  read(known: SnapshotOrder): 'unchanged' | (SnapshotOrder & { sealed: Uint8Array<ArrayBuffer> }) | null {
    if (!this.#held) return null;
    if (compareSnapshotOrder(this.#held, known) <= 0) return 'unchanged';
    return { ...orderOf(this.#held), sealed: this.#held.sealed };
  }

  override async alarm(): Promise<void> {
    await this.#writeKv();
  }

  async #scheduleKv(): Promise<void> {
    // No longer than that: the clock may have been set back.
    const wait = Math.min(KV_SPACING_MS, this.#kvWrittenAt + KV_SPACING_MS - Date.now());
    // An alarm rather than a background task: it survives the object and is retried.
    if ((await this.ctx.storage.getAlarm()) === null) {
      await this.ctx.storage.setAlarm(Date.now() + Math.max(0, wait));
    }
  }

  /** Writes whatever is newest by now. */
  async #writeKv(): Promise<void> {
    const held = this.#held;
    if (!held || !this.env.SNAPSHOTS) return;
    this.#kvWrittenAt = Date.now();
    try {
      await this.env.SNAPSHOTS.put(snapshotKey(held.site), held.sealed);
    } catch (error) {
      console.warn(JSON.stringify({ event: 'kv-write-failed', site: held.site, error: String(error) }));
      await this.ctx.storage.setAlarm(Date.now() + KV_RETRY_MS);
    }
  }
}

const orderOf = ({ epoch, seq }: SnapshotOrder): SnapshotOrder => ({ epoch, seq });

import { DurableObject } from 'cloudflare:workers';
import {
  grantLease,
  type LeaseLedger,
  ledgerExpiresAt,
  newLeaseLedger,
  type QuotaLease,
  type QuotaLeaseRequest,
} from '../shared/limits/lease-ledger.ts';

/** One object per key of a global limit: hands out leases. What it knows survives its eviction. */
export class Limiter extends DurableObject<unknown> {
  #book: LeaseLedger;
  #windowMs: number;
  #cleaning = false;

  constructor(ctx: DurableObjectState, env: unknown) {
    super(ctx, env);
    this.#book = ctx.storage.kv.get<LeaseLedger>('book') ?? newLeaseLedger();
    this.#windowMs = ctx.storage.kv.get<number>('windowMs') ?? 0;
  }

  async lease(request: QuotaLeaseRequest): Promise<QuotaLease> {
    const granted = grantLease(this.#book, request, Date.now());
    this.ctx.storage.kv.put('book', this.#book);
    if (!this.#cleaning) {
      this.#windowMs = request.windowMs;
      this.ctx.storage.kv.put('windowMs', request.windowMs);
      await this.#cleanLater();
    }
    return granted;
  }

  /** A key that has been quiet for two windows is forgotten, object and all: there may be one per client. */
  override async alarm(): Promise<void> {
    this.#cleaning = false;
    if (Date.now() < ledgerExpiresAt(this.#book, this.#windowMs)) return this.#cleanLater();
    this.#book = newLeaseLedger();
    await this.ctx.storage.deleteAll();
  }

  async #cleanLater(): Promise<void> {
    this.#cleaning = true;
    await this.ctx.storage.setAlarm(ledgerExpiresAt(this.#book, this.#windowMs));
  }
}

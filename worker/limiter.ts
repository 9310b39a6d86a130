import { DurableObject } from 'cloudflare:workers';
import {
  grantLease,
  type LeaseLedger,
  ledgerExpiresAt,
  newLeaseLedger,
  type QuotaLease,
  type QuotaLeaseRequest,
} from '../shared/limits/lease-ledger.ts';

/** Grants the leases of one key of a global limit. Its ledger is stored, so it survives eviction. */
export class Limiter extends DurableObject<unknown> {
  #ledger: LeaseLedger;
  #windowMs: number;
  #alarmIsSet = false;

  constructor(ctx: DurableObjectState, env: unknown) {
    super(ctx, env);
    this.#ledger = ctx.storage.kv.get<LeaseLedger>('book') ?? newLeaseLedger();
    this.#windowMs = ctx.storage.kv.get<number>('windowMs') ?? 0;
  }

  async lease(request: QuotaLeaseRequest): Promise<QuotaLease> {
    const granted = grantLease(this.#ledger, request, Date.now());
    this.ctx.storage.kv.put('book', this.#ledger);
    if (!this.#alarmIsSet) {
      this.#windowMs = request.windowMs;
      this.ctx.storage.kv.put('windowMs', request.windowMs);
      await this.#setAlarm();
    }
    return granted;
  }

  /** Deletes the storage of an idle object: there may be one object per client. */
  override async alarm(): Promise<void> {
    this.#alarmIsSet = false;
    if (Date.now() < ledgerExpiresAt(this.#ledger, this.#windowMs)) return this.#setAlarm();
    this.#ledger = newLeaseLedger();
    await this.ctx.storage.deleteAll();
  }

  async #setAlarm(): Promise<void> {
    this.#alarmIsSet = true;
    await this.ctx.storage.setAlarm(ledgerExpiresAt(this.#ledger, this.#windowMs));
  }
}

import { DurableObject } from 'cloudflare:workers';
import {
  type Lease,
  type LeaseBook,
  type LeaseRequest,
  lease,
  newLeaseBook,
} from '../shared/limits/lease-book.ts';

/** One object per key of a global limit: hands out leases. What it knows survives its eviction. */
export class Limiter extends DurableObject<unknown> {
  #book: LeaseBook;
  #cleaning = false;

  constructor(ctx: DurableObjectState, env: unknown) {
    super(ctx, env);
    this.#book = ctx.storage.kv.get<LeaseBook>('book') ?? newLeaseBook();
  }

  async lease(request: LeaseRequest): Promise<Lease> {
    const granted = lease(this.#book, request, Date.now());
    this.ctx.storage.kv.put('book', this.#book);
    if (!this.#cleaning) {
      this.#cleaning = true;
      await this.ctx.storage.setAlarm(Date.now() + 2 * request.windowMs + 60_000);
    }
    return granted;
  }

  /** A key that has been quiet for two windows is forgotten, object and all: there may be one per client. */
  override async alarm(): Promise<void> {
    this.#cleaning = false;
    const newest = Math.max(0, ...Object.values(this.#book.holders));
    if (Date.now() - newest < 60_000) {
      this.#cleaning = true;
      await this.ctx.storage.setAlarm(Date.now() + 60_000);
      return;
    }
    this.#book = newLeaseBook();
    await this.ctx.storage.deleteAll();
  }
}

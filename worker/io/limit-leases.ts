import type { QuotaLease, QuotaLeaseRequest } from '../../shared/limits/lease-ledger.ts';
import type { LimitDecision } from '../../shared/limits/limiter.ts';
import type { CompiledRateLimit } from '../../shared/limits/policy.ts';
import { withTimeout } from './with-timeout.ts';

/** What this isolate holds for one key of one global policy. Times are epoch ms. */
interface HeldLease {
  /** Units left to use. */
  units: number;
  expiresAt: number;
  /** Units used since the last lease was granted. The next request asks for twice as many. */
  used: number;
  /** Units that no isolate had leased at the time of the last grant. */
  unleased: number;
  deniedUntil: number;
  /** While a request to the Limiter is pending: when to give up on it. 0: none is pending. */
  requestingUntil: number;
}

/** Identifies a lease: one key of one policy of one service. */
interface LeaseId {
  service: string;
  policy: CompiledRateLimit;
  key: string;
}

/** Beyond this the oldest key is dropped. Its lease is lost, and the Limiter counts it as used. */
const MAX_KEYS = 32_768;
/** After this the isolate stops waiting for the Limiter and applies only its own limit. */
const TIMEOUT_MS = 150;
/** After a failure no lease is requested for this long, so that an overloaded Limiter gets no extra load. */
const BACKOFF_MS = 1_000;

/** Asks the Limiter object with this name for a lease. */
export type RequestLease = (name: string, request: QuotaLeaseRequest) => Promise<QuotaLease>;

/** The leases that this isolate holds on global rate limits. */
export class LimitLeases {
  readonly #requestLease: RequestLease;
  readonly #isolate: string;
  readonly #leases = new Map<string, HeldLease>();
  #backoffUntil = 0;

  constructor(requestLease: RequestLease, isolate: string) {
    this.#requestLease = requestLease;
    this.#isolate = isolate;
  }

  /** Call before `take`. Returns a promise when the caller must wait for a new lease. `limit`: units per window. */
  prepare(
    id: LeaseId,
    limit: number,
    now: number,
    ctx: { waitUntil(work: Promise<unknown>): void },
  ): Promise<void> | null {
    if (this.#backoffUntil > now) return null;
    const lease = this.#leases.get(nameOf(id));
    if (lease && lease.deniedUntil > now) return null;
    const isRequesting = lease !== undefined && lease.requestingUntil > now;
    if (lease && lease.units >= id.policy.cost && lease.expiresAt > now) {
      // Half used: fetch the next lease before this one runs out.
      if (lease.units <= lease.used && !isRequesting) ctx.waitUntil(this.#request(id, limit, now));
      return null;
    }
    return isRequesting ? null : this.#request(id, limit, now);
  }

  /** Null without a usable lease, for example while the Limiter is down: then the isolate's own limit decides. */
  take(id: LeaseId, now: number): LimitDecision | null {
    const lease = this.#leases.get(nameOf(id));
    if (!lease) return null;
    if (lease.deniedUntil > now) return { allowed: false, remaining: 0, resetMs: lease.deniedUntil - now };
    const { cost } = id.policy;
    if (lease.units < cost || lease.expiresAt <= now) return null;
    lease.units -= cost;
    lease.used += cost;
    return { allowed: true, remaining: lease.unleased + lease.units, resetMs: lease.expiresAt - now };
  }

  /** Returns the units of one `take`. */
  refund(id: LeaseId): void {
    const lease = this.#leases.get(nameOf(id));
    const { cost } = id.policy;
    if (!lease || lease.units + lease.used < cost) return;
    lease.units += cost;
    lease.used = Math.max(0, lease.used - cost);
  }

  reset(): void {
    this.#leases.clear();
    this.#backoffUntil = 0;
  }

  async #request(id: LeaseId, limit: number, now: number): Promise<void> {
    const name = nameOf(id);
    const { cost, windowMs } = id.policy;
    const lease = this.#getOrCreate(name);
    lease.requestingUntil = now + 2 * TIMEOUT_MS;
    // An expired lease returns nothing: its units may have left the window already.
    const unused = lease.expiresAt > now ? lease.units : 0;
    lease.units = 0;
    const request: QuotaLeaseRequest = {
      isolate: this.#isolate,
      limit,
      windowMs,
      need: cost,
      want: Math.max(cost, 2 * lease.used, Math.ceil(limit / 20)),
      unused,
    };
    try {
      const granted = await withTimeout(this.#requestLease(name, request), TIMEOUT_MS, 'Limiter');
      lease.unleased = Math.max(0, granted.remaining);
      lease.used = 0;
      if (granted.units > 0) {
        lease.units = granted.units;
        lease.expiresAt = now + granted.forMs;
        lease.deniedUntil = 0;
      } else {
        lease.deniedUntil = now + granted.forMs;
      }
    } catch {
      this.#backoffUntil = now + BACKOFF_MS;
    } finally {
      lease.requestingUntil = 0;
    }
  }

  #getOrCreate(name: string): HeldLease {
    const known = this.#leases.get(name);
    if (known) return known;
    if (this.#leases.size >= MAX_KEYS) {
      const oldest = this.#leases.keys().next().value;
      if (oldest !== undefined) this.#leases.delete(oldest);
    }
    const lease: HeldLease = {
      units: 0,
      expiresAt: 0,
      used: 0,
      unleased: 0,
      deniedUntil: 0,
      requestingUntil: 0,
    };
    this.#leases.set(name, lease);
    return lease;
  }
}

const nameOf = ({ service, policy, key }: LeaseId): string =>
  `${policy.counterNamespace(service)}/${policy.name}/${policy.windowMs}/${key}`;

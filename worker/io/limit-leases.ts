import type { QuotaLease, QuotaLeaseRequest } from '../../shared/limits/lease-ledger.ts';
import type { LimitDecision } from '../../shared/limits/limiter.ts';
import type { CompiledRateLimit } from '../../shared/limits/policy.ts';
import { withTimeout } from './with-timeout.ts';

/** What this isolate holds of one key of one global policy. */
interface HeldLease {
  units: number;
  expires: number;
  /** Of the last lease: how many were used; the next one asks for twice that. */
  used: number;
  /** Units nobody had leased when it was last asked. */
  left: number;
  deniedUntil: number;
  /** An ask has begun and not ended. By then (epoch ms) it has, or its request was ended by its client. */
  askingUntil: number;
}

/** Keys remembered at most; a forgotten one loses its lease, which the object counts as used. */
const MAX_KEYS = 32_768;
/** A slower answer is not waited for: the limit within the isolate holds meanwhile. */
const TIMEOUT_MS = 150;
/** After a failure the object is left alone; overload must not be answered with more load. */
const BACKOFF_MS = 1_000;

/** Asks the object that keeps the book of this name. */
export type RequestLease = (name: string, request: QuotaLeaseRequest) => Promise<QuotaLease>;

export class LimitLeases {
  readonly #limiter: RequestLease;
  readonly #isolate: string;
  readonly #held = new Map<string, HeldLease>();
  #restUntil = 0;

  constructor(limiter: RequestLease, isolate: string) {
    this.#limiter = limiter;
    this.#isolate = isolate;
  }

  /** A promise when the object must be asked before `take`; null when what is held decides. */
  prepare(
    service: string,
    policy: CompiledRateLimit,
    key: string,
    limit: number,
    now: number,
    ctx: { waitUntil(work: Promise<unknown>): void },
  ): Promise<void> | null {
    if (this.#restUntil > now) return null;
    const name = nameOf(service, policy, key);
    const held = this.#held.get(name);
    if (held && held.deniedUntil > now) return null;
    if (held && held.units >= policy.cost && held.expires > now) {
      // Half used: the next lease is fetched before this one is gone.
      if (held.units <= held.used && held.askingUntil <= now)
        ctx.waitUntil(this.#ask(name, policy, limit, now));
      return null;
    }
    if (held && held.askingUntil > now) return null;
    return this.#ask(name, policy, limit, now);
  }

  /** Decides from what is held. Without any (the object is down) it allows: the isolate's own limit has the last word. */
  take(service: string, policy: CompiledRateLimit, key: string, now: number): LimitDecision | null {
    const held = this.#held.get(nameOf(service, policy, key));
    if (!held) return null;
    if (held.deniedUntil > now) return { allowed: false, remaining: 0, resetMs: held.deniedUntil - now };
    if (held.units < policy.cost || held.expires <= now) return null;
    held.units -= policy.cost;
    held.used += policy.cost;
    return { allowed: true, remaining: held.left + held.units, resetMs: held.expires - now };
  }

  undo(service: string, policy: CompiledRateLimit, key: string): void {
    const held = this.#held.get(nameOf(service, policy, key));
    if (!held || held.units + held.used < policy.cost) return;
    held.units += policy.cost;
    held.used = Math.max(0, held.used - policy.cost);
  }

  reset(): void {
    this.#held.clear();
    this.#restUntil = 0;
  }

  async #ask(name: string, policy: CompiledRateLimit, limit: number, now: number): Promise<void> {
    const held = this.#hold(name);
    held.askingUntil = now + 2 * TIMEOUT_MS;
    // Of a lease that has run out nothing is handed back: by now the units may have left the window.
    const unused = held.expires > now ? held.units : 0;
    held.units = 0;
    const want = Math.max(policy.cost, 2 * held.used, Math.ceil(limit / 20));
    try {
      const answer = await withTimeout(
        TIMEOUT_MS,
        'Limiter',
        this.#limiter(name, {
          isolate: this.#isolate,
          limit,
          windowMs: policy.windowMs,
          need: policy.cost,
          want,
          unused,
        }),
      );
      held.left = Math.max(0, answer.remaining);
      held.used = 0;
      if (answer.units > 0) {
        held.units = answer.units;
        held.expires = now + answer.forMs;
        held.deniedUntil = 0;
      } else held.deniedUntil = now + answer.forMs;
    } catch {
      this.#restUntil = now + BACKOFF_MS;
    } finally {
      held.askingUntil = 0;
    }
  }

  #hold(name: string): HeldLease {
    const known = this.#held.get(name);
    if (known) return known;
    if (this.#held.size >= MAX_KEYS) {
      const oldest = this.#held.keys().next().value;
      if (oldest !== undefined) this.#held.delete(oldest);
    }
    const held = { units: 0, expires: 0, used: 0, left: 0, deniedUntil: 0, askingUntil: 0 };
    this.#held.set(name, held);
    return held;
  }
}

const nameOf = (service: string, policy: CompiledRateLimit, key: string): string =>
  `${policy.counterNamespace(service)}/${policy.name}/${policy.windowMs}/${key}`;

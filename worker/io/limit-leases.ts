import type { QuotaLease, QuotaLeaseRequest } from '../../shared/limits/lease-ledger.ts';
import type { LimitDecision } from '../../shared/limits/limiter.ts';
import type { CompiledRateLimit } from '../../shared/limits/policy.ts';
import { withTimeout } from './with-timeout.ts';

/** Units of one grant. Times are epoch ms. */
interface Grant {
  units: number;
  expiresAt: number;
}

/** What this isolate holds for one key of one global policy. Times are epoch ms. */
interface HeldLease {
  /** The grants with units left, the one that expires first at the front. */
  grants: Grant[];
  /** Units used since the last grant. The next request asks for twice as many. */
  used: number;
  /** Units that requests are waiting for. */
  awaited: number;
  /** Units that no isolate had leased at the time of the last grant. */
  unleased: number;
  deniedUntil: number;
  /** The Limiter did not answer: until then the isolate requests no lease for this key. */
  restUntil: number;
  /** The request to the Limiter under way, which all requests for the key await. */
  asking: { answer: Promise<void>; giveUpAt: number } | null;
  /** Units admitted without the Limiter since a whole window passed without any, and when the last one was. */
  unaided: { units: number; lastAt: number };
}

/** Identifies a lease: one key of one policy of one service. */
export interface LeaseId {
  service: string;
  policy: CompiledRateLimit;
  key: string;
}

/** Background work that outlives the request. */
interface BackgroundWork {
  waitUntil(work: Promise<unknown>): void;
}

interface Ask {
  limit: number;
  now: number;
  ctx: BackgroundWork;
}

/** Beyond this the oldest key is dropped. Its lease is lost, and the Limiter counts it as used. */
const MAX_KEYS = 32_768;
/** A request waits this long for units. */
const TIMEOUT_MS = 150;
/**
 * After a failure the isolate requests no lease for the key for this long, so that an overloaded Limiter gets no extra
 * load.
 */
const REST_MS = 1_000;
/** A denial lasts until enough units have left the window, and a window may last 30 days. */
const MAX_LEASE_MS = 31 * 86_400_000;
/** The share of the limit that an isolate admits per window while the Limiter does not answer; at least one request. */
const UNAIDED_SHARE = 0.1;

/** Asks the Limiter object with this name for a lease. */
export type RequestLease = (name: string, request: QuotaLeaseRequest) => Promise<QuotaLease>;

/**
 * The leases that this isolate holds on global rate limits. In any window all isolates together admit at most the limit,
 * plus the units that were outstanding at its start, plus a tenth of the limit (at least one request) for each isolate
 * that the Limiter does not answer in time.
 */
export class LimitLeases {
  readonly #requestLease: RequestLease;
  readonly #isolate: string;
  readonly #leases = new Map<string, HeldLease>();

  constructor(requestLease: RequestLease, isolate: string) {
    this.#requestLease = requestLease;
    this.#isolate = isolate;
  }

  /** Takes the units of one request. Returns a promise when they must be leased first. `limit`: units per window. */
  take(id: LeaseId, limit: number, now: number, ctx: BackgroundWork): LimitDecision | Promise<LimitDecision> {
    const lease = this.#getOrCreate(nameOf(id));
    const decision = decide(lease, id.policy, limit, now);
    if (!decision) return this.#waitForUnits(id, lease, { limit, now, ctx });
    const left = unitsOf(lease, now);
    // Half used: fetch the next lease before this one runs out. The units in hand stay.
    if (decision.allowed && left > 0 && left <= lease.used && mayAsk(lease, now)) {
      void this.#ask(id, lease, { limit, now, ctx });
    }
    return decision;
  }

  /** Returns the units of one `take` that was allowed. */
  refund(id: LeaseId): void {
    const lease = this.#leases.get(nameOf(id));
    const { cost } = id.policy;
    const grant = lease?.grants[0];
    if (!lease || !grant || lease.used < cost) return;
    grant.units += cost;
    lease.used -= cost;
  }

  reset(): void {
    this.#leases.clear();
  }

  async #waitForUnits(id: LeaseId, lease: HeldLease, { limit, now, ctx }: Ask): Promise<LimitDecision> {
    const { policy } = id;
    const patience = Promise.withResolvers<'over'>();
    // The timer belongs to this request: the request that asks may be cancelled, and its timers with it.
    const timer = setTimeout(() => patience.resolve('over'), TIMEOUT_MS);
    lease.awaited += policy.cost;
    try {
      for (;;) {
        const asking = this.#ask(id, lease, { limit, now, ctx });
        const isOver = (await Promise.race([asking, patience.promise])) === 'over';
        const decision = decide(lease, policy, limit, now);
        if (decision) return decision;
        if (isOver) return admitUnaided(lease, policy, limit, now);
      }
    } finally {
      clearTimeout(timer);
      lease.awaited -= policy.cost;
    }
  }

  /** Asks the Limiter, unless a request for this key is under way. Never rejects. */
  #ask(id: LeaseId, lease: HeldLease, { limit, now, ctx }: Ask): Promise<void> {
    if (lease.asking && lease.asking.giveUpAt > now) return lease.asking.answer;
    const { cost, windowMs } = id.policy;
    const work = this.#requestLease(nameOf(id), {
      isolate: this.#isolate,
      limit,
      windowMs,
      need: cost,
      want: Math.max(cost, lease.awaited, 2 * lease.used, Math.ceil(limit / 20)),
    }).then((granted) => {
      if (!isUsable(granted, cost)) throw new Error('the Limiter sent an unusable answer');
      addGrant(lease, granted, now);
    });
    const asking = {
      // An answer after the timeout still counts: the Limiter has counted its units.
      answer: withTimeout(work, TIMEOUT_MS, 'Limiter')
        .catch(() => {
          lease.restUntil = now + REST_MS;
        })
        .finally(() => {
          if (lease.asking === asking) lease.asking = null;
        }),
      giveUpAt: now + 2 * TIMEOUT_MS,
    };
    lease.asking = asking;
    // Other requests wait for the answer too, so the call must outlive the request that started it.
    ctx.waitUntil(Promise.allSettled([work, asking.answer]));
    return asking.answer;
  }

  #getOrCreate(name: string): HeldLease {
    const known = this.#leases.get(name);
    if (known) return known;
    if (this.#leases.size >= MAX_KEYS) {
      const oldest = this.#leases.keys().next().value;
      if (oldest !== undefined) this.#leases.delete(oldest);
    }
    const lease: HeldLease = {
      grants: [],
      used: 0,
      awaited: 0,
      unleased: 0,
      deniedUntil: 0,
      restUntil: 0,
      asking: null,
      unaided: { units: 0, lastAt: 0 },
    };
    this.#leases.set(name, lease);
    return lease;
  }
}

const nameOf = ({ service, policy, key }: LeaseId): string =>
  `${policy.counterNamespace(service)}/${policy.name}/${policy.windowMs}/${key}`;

const mayAsk = (lease: HeldLease, now: number): boolean =>
  lease.asking === null && lease.deniedUntil <= now && lease.restUntil <= now;

/** Units left; drops expired grants. */
function unitsOf(lease: HeldLease, now: number): number {
  while (lease.grants[0] && (lease.grants[0].expiresAt <= now || lease.grants[0].units === 0)) {
    lease.grants.shift();
  }
  return lease.grants.reduce((sum, { units }) => sum + units, 0);
}

/** Null: the Limiter must be asked. Units in hand count before a denial, which may have come for more units. */
function decide(
  lease: HeldLease,
  policy: CompiledRateLimit,
  limit: number,
  now: number,
): LimitDecision | null {
  const { cost } = policy;
  const units = unitsOf(lease, now);
  if (units >= cost) {
    takeUnits(lease, cost);
    lease.used += cost;
    return {
      allowed: true,
      remaining: lease.unleased + units - cost,
      resetMs: Math.max(0, (lease.grants[0]?.expiresAt ?? now) - now),
    };
  }
  if (lease.deniedUntil > now) return { allowed: false, remaining: 0, resetMs: lease.deniedUntil - now };
  return lease.restUntil > now ? admitUnaided(lease, policy, limit, now) : null;
}

function takeUnits(lease: HeldLease, cost: number): void {
  let left = cost;
  for (const grant of lease.grants) {
    const taken = Math.min(left, grant.units);
    grant.units -= taken;
    left -= taken;
  }
}

/** While the Limiter does not answer, each isolate admits a small share of the limit, so that many stay within it. */
function admitUnaided(
  { unaided, restUntil }: HeldLease,
  { cost, windowMs }: CompiledRateLimit,
  limit: number,
  now: number,
): LimitDecision {
  if (now >= unaided.lastAt + windowMs) unaided.units = 0;
  const allowance = Math.max(cost, Math.floor(limit * UNAIDED_SHARE));
  const resetMs = Math.max(1, restUntil - now);
  if (unaided.units + cost > allowance) return { allowed: false, remaining: 0, resetMs };
  unaided.units += cost;
  unaided.lastAt = now;
  return { allowed: true, remaining: allowance - unaided.units, resetMs };
}

/**
 * Whether the answer is a denial or has the units that were needed. Anything else, perhaps from another version of the
 * Limiter, counts as no answer.
 */
const isUsable = (granted: QuotaLease | null, need: number): granted is QuotaLease =>
  granted !== null &&
  (granted.units === 0 || granted.units >= need) &&
  granted.forMs > 0 &&
  granted.forMs <= MAX_LEASE_MS &&
  Number.isFinite(granted.remaining);

function addGrant(lease: HeldLease, granted: QuotaLease, now: number): void {
  lease.unleased = Math.max(0, granted.remaining);
  lease.restUntil = 0;
  if (granted.units === 0) {
    lease.deniedUntil = now + granted.forMs;
    return;
  }
  lease.used = 0;
  lease.deniedUntil = 0;
  lease.grants.push({ units: granted.units, expiresAt: now + granted.forMs });
  lease.grants.sort((a, b) => a.expiresAt - b.expiresAt);
}

import { ClockCache, grow } from './clock-cache.ts';
import { type KeyedLimiter, type LimitDecision, MAX_KEYS } from './limiter.ts';

/** A time of whole microseconds and `part / limit` of another, so that T = window / limit is exact for every limit. */
interface ExactTime {
  us: number;
  part: number;
}

/** The constants of one limit. */
interface Scale {
  limit: number;
  /** T: the time in which one unit returns. */
  interval: ExactTime;
  /** burst · T. */
  tolerance: ExactTime;
}

/**
 * GCRA (ITU-T I.371), for limits with a `burst`: an even rate of one unit per T = window / limit, and up to `burst` units
 * at once. It can admit `burst + limit` units within one window, and never one more or less than real arithmetic would.
 *   TAT' = max(now, TAT) + n·T;  deny if now < TAT' − burst·T
 */
export class Gcra implements KeyedLimiter {
  readonly #windowUs: number;
  readonly #burst: number;
  readonly #slots: ClockCache;
  /** The limits in use: that of the policy and its overrides. */
  readonly #scales = new Map<number, Scale>();
  /** The theoretical arrival time (TAT) of each slot: epoch microseconds, and parts of one. */
  #arrivalUs = new Float64Array(0);
  #arrivalPart = new Float64Array(0);

  constructor(windowMs: number, burst: number, maxKeys = MAX_KEYS) {
    this.#windowUs = Math.round(windowMs * 1_000);
    this.#burst = burst;
    this.#slots = new ClockCache(maxKeys);
  }

  take(key: string, limit: number, cost: number, now: number): LimitDecision {
    const nowUs = Math.round(now * 1_000);
    const slot = this.#slots.get(key) ?? this.#open(key, nowUs);
    const scale = this.#scaleOf(limit);
    const arrival = this.#arrivalOf(slot, nowUs);
    const next = plus(arrival, cost, scale);
    const earliest = minusTolerance(next, scale);
    if (nowUs < earliest.us || (nowUs === earliest.us && earliest.part > 0)) {
      const waitUs = earliest.us + Math.sign(earliest.part) - nowUs;
      return {
        allowed: false,
        remaining: this.#remaining(arrival, scale, nowUs),
        resetMs: waitUs / 1_000,
      };
    }
    this.#setArrival(slot, next);
    const remaining = this.#remaining(next, scale, nowUs);
    const unitFree = minusTolerance(plus(next, remaining + 1, scale), scale);
    return {
      allowed: true,
      remaining,
      resetMs: Math.max(0, unitFree.us + Math.sign(unitFree.part) - nowUs) / 1_000,
    };
  }

  refund(key: string, limit: number, cost: number, now: number): void {
    const slot = this.#slots.get(key);
    if (slot === undefined) return;
    const nowUs = Math.round(now * 1_000);
    this.#setArrival(slot, plus(this.#arrivalOf(slot, nowUs), -cost, this.#scaleOf(limit)));
  }

  #arrivalOf(slot: number, nowUs: number): ExactTime {
    const us = this.#arrivalUs[slot] ?? 0;
    return us < nowUs ? { us: nowUs, part: 0 } : { us, part: this.#arrivalPart[slot] ?? 0 };
  }

  #setArrival(slot: number, { us, part }: ExactTime): void {
    this.#arrivalUs[slot] = us;
    this.#arrivalPart[slot] = part;
  }

  /** Whole units left: ⌊(burst·T − (arrival − now)) / T⌋. */
  #remaining(arrival: ExactTime, { limit, tolerance }: Scale, nowUs: number): number {
    const us = tolerance.us - (arrival.us - nowUs);
    const parts = tolerance.part - arrival.part;
    const scaled = us * limit + parts;
    const units = Number.isSafeInteger(us * limit)
      ? Math.floor(scaled / this.#windowUs)
      : Number((BigInt(us) * BigInt(limit) + BigInt(parts)) / BigInt(this.#windowUs));
    return Math.max(0, units);
  }

  #scaleOf(limit: number): Scale {
    const known = this.#scales.get(limit);
    if (known) return known;
    const burstUs = BigInt(this.#burst) * BigInt(this.#windowUs);
    const scale = {
      limit,
      interval: { us: Math.floor(this.#windowUs / limit), part: this.#windowUs % limit },
      tolerance: { us: Number(burstUs / BigInt(limit)), part: Number(burstUs % BigInt(limit)) },
    };
    this.#scales.set(limit, scale);
    return scale;
  }

  #open(key: string, nowUs: number): number {
    const slot = this.#slots.add(key, (one) => Math.max(0, (this.#arrivalUs[one] ?? 0) - nowUs));
    if (slot >= this.#arrivalUs.length) {
      this.#arrivalUs = grow(this.#arrivalUs);
      this.#arrivalPart = grow(this.#arrivalPart);
    }
    this.#arrivalUs[slot] = 0;
    this.#arrivalPart[slot] = 0;
    return slot;
  }
}

/** `time + units · T`. `part` stays below `limit`, at most 1e9, and `units` below 1e6: all products are exact. */
function plus(time: ExactTime, units: number, { limit, interval }: Scale): ExactTime {
  return normalize(time.us + units * interval.us, time.part + units * interval.part, limit);
}

function minusTolerance(time: ExactTime, { limit, tolerance }: Scale): ExactTime {
  return normalize(time.us - tolerance.us, time.part - tolerance.part, limit);
}

function normalize(us: number, part: number, limit: number): ExactTime {
  const carry = Math.floor(part / limit);
  return { us: us + carry, part: part - carry * limit };
}

import { ClockCache, grow } from './clock-cache.ts';
import { type KeyedLimiter, type LimitDecision, MAX_KEYS } from './limiter.ts';

/**
 * GCRA (ITU-T I.371), for limits with a `burst`: an even rate of one unit per T = window / limit, and up to `burst` units
 * at once. It can admit `burst + limit` units within one window.
 *   TAT' = max(now, TAT) + n·T;  deny if now < TAT' − burst·T
 */
export class Gcra implements KeyedLimiter {
  readonly #windowMs: number;
  readonly #burst: number;
  readonly #slots: ClockCache;
  /** The theoretical arrival time (TAT) of each slot, epoch milliseconds. */
  #arrival = new Float64Array(0);

  constructor(windowMs: number, burst: number, maxKeys = MAX_KEYS) {
    this.#windowMs = windowMs;
    this.#burst = burst;
    this.#slots = new ClockCache(maxKeys);
  }

  take(key: string, limit: number, cost: number, now: number): LimitDecision {
    const slot = this.#slots.get(key) ?? this.#open(key, now);
    const interval = this.#windowMs / limit;
    const arrival = Math.max(now, this.#arrival[slot] ?? 0);
    const next = arrival + cost * interval;
    const earliest = next - this.#burst * interval;
    if (now < earliest) {
      return { allowed: false, remaining: this.#remaining(arrival, interval, now), resetMs: earliest - now };
    }
    this.#arrival[slot] = next;
    const remaining = this.#remaining(next, interval, now);
    return { allowed: true, remaining, resetMs: next - now - (this.#burst - remaining - 1) * interval };
  }

  refund(key: string, limit: number, cost: number, now: number): void {
    const slot = this.#slots.get(key);
    if (slot === undefined) return;
    this.#arrival[slot] = Math.max(now, (this.#arrival[slot] ?? 0) - (cost * this.#windowMs) / limit);
  }

  #remaining(arrival: number, interval: number, now: number): number {
    return Math.max(0, Math.floor(this.#burst - (arrival - now) / interval + 1e-9));
  }

  #open(key: string, now: number): number {
    const slot = this.#slots.add(key, (one) => Math.max(0, (this.#arrival[one] ?? 0) - now));
    if (slot >= this.#arrival.length) this.#arrival = grow(this.#arrival);
    this.#arrival[slot] = 0;
    return slot;
  }
}

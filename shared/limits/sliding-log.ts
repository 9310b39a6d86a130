import { ClockCache } from './clock-cache.ts';
import { type KeyedLimiter, type LimitDecision, MAX_KEYS } from './limiter.ts';

const REBASE_AFTER_MS = 30 * 86_400_000;

/**
 * The exact sliding window, for small limits: a ring buffer per key with the times of its last `width` units. With a limit
 * of 20 in 10 s, it denies the 21st unit within any 10 s. One typed array holds all rows, 4 bytes per unit: 20 units for
 * 32,768 keys are 2.6 MB.
 */
export class SlidingLog implements KeyedLimiter {
  readonly #width: number;
  readonly #windowMs: number;
  readonly #slots: ClockCache;
  /** Milliseconds since `#epoch`; 0: unused. */
  #times = new Uint32Array(0);
  /** Next position to write in each row. */
  #heads = new Uint16Array(0);
  #epoch = 0;

  /** `width` is the largest limit of any key, at most `MAX_LIMIT`; `windowMs` is at most `MAX_WINDOW_MS`. */
  constructor(width: number, windowMs: number, maxKeys = MAX_KEYS) {
    this.#width = width;
    this.#windowMs = windowMs;
    this.#slots = new ClockCache(maxKeys);
  }

  static readonly MAX_LIMIT = 256;
  static readonly MAX_WINDOW_MS = 15 * 86_400_000;

  take(key: string, limit: number, cost: number, now: number): LimitDecision {
    if (now - this.#epoch > REBASE_AFTER_MS) this.#rebase(now);
    const slot = this.#slots.get(key) ?? this.#open(key, now);
    const oldest = now - this.#epoch - this.#windowMs;
    const used = this.#used(slot, oldest);
    if (used + cost > limit) {
      // Denied until enough of the oldest units have left the window.
      const last = used + cost - limit;
      const resetMs = last > used ? this.#windowMs : this.#nthOldest(slot, used, last) - oldest;
      return { allowed: false, remaining: Math.max(0, limit - used), resetMs };
    }
    for (let unit = 0; unit < cost; unit++) this.#push(slot, now - this.#epoch);
    return {
      allowed: true,
      remaining: limit - used - cost,
      resetMs: this.#nthOldest(slot, used + cost, 1) - oldest,
    };
  }

  refund(key: string, _limit: number, cost: number): void {
    const slot = this.#slots.get(key);
    if (slot === undefined) return;
    for (let unit = 0; unit < cost; unit++) {
      const head = ((this.#heads[slot] ?? 0) + this.#width - 1) % this.#width;
      this.#heads[slot] = head;
      this.#times[slot * this.#width + head] = 0;
    }
  }

  /** Units after `oldest`. */
  #used(slot: number, oldest: number): number {
    const start = slot * this.#width;
    const head = this.#heads[slot] ?? 0;
    let used = 0;
    // From the newest back to the first that is outside of the window.
    for (let back = 1; back <= this.#width; back++) {
      const time = this.#times[start + ((head + this.#width - back) % this.#width)] ?? 0;
      if (time === 0 || time <= oldest) break;
      used++;
    }
    return used;
  }

  #nthOldest(slot: number, used: number, nth: number): number {
    const head = this.#heads[slot] ?? 0;
    const back = used - nth + 1;
    return this.#times[slot * this.#width + ((head + this.#width - back) % this.#width)] ?? 0;
  }

  /** Moves the epoch: 32 bits hold 49 days of milliseconds, and a self-hosted edge runs longer than that. */
  #rebase(now: number): void {
    const epoch = now - this.#windowMs - 1;
    const shift = epoch - this.#epoch;
    for (const [at, time] of this.#times.entries()) this.#times[at] = time > shift ? time - shift : 0;
    this.#epoch = epoch;
  }

  #push(slot: number, time: number): void {
    const head = this.#heads[slot] ?? 0;
    this.#times[slot * this.#width + head] = time;
    this.#heads[slot] = (head + 1) % this.#width;
  }

  #open(key: string, now: number): number {
    const slot = this.#slots.add(key, (one) => this.#used(one, now - this.#epoch - this.#windowMs));
    if (slot >= this.#heads.length) {
      const rows = Math.max(64, this.#heads.length * 2);
      const times = new Uint32Array(rows * this.#width);
      times.set(this.#times);
      const heads = new Uint16Array(rows);
      heads.set(this.#heads);
      this.#times = times;
      this.#heads = heads;
    }
    this.#times.fill(0, slot * this.#width, (slot + 1) * this.#width);
    this.#heads[slot] = 0;
    return slot;
  }
}

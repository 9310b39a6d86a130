import { ClockCache } from './clock-cache.ts';
import { type KeyedLimiter, type LimitDecision, MAX_KEYS } from './limiter.ts';

const BUCKETS_PER_WINDOW = 32;
/** One more, because the newest bucket is incomplete: together they always cover a whole window. */
const BUCKETS = BUCKETS_PER_WINDOW + 1;

/**
 * The sliding window for large limits: 33 counters per key, each for 1/32 of the window. A unit counts until its whole
 * bucket has left the window. So any window admits at most `limit` units, and a request is denied only when the last
 * 33/32 of a window hold too many: a steady client gets at least 32/33 of its limit.
 */
export class SlidingCounter implements KeyedLimiter {
  readonly #windowMs: number;
  readonly #slots: ClockCache;
  /** Rows of `BUCKETS` counters, a ring buffer each. */
  #counts = new Uint32Array(0);
  /** Sum of each row. */
  #totals = new Float64Array(0);
  /** Number of the newest bucket of each row. */
  #newest = new Float64Array(0);

  static readonly ROW_BYTES = 4 * BUCKETS + 16;

  constructor(windowMs: number, maxKeys = MAX_KEYS) {
    this.#windowMs = windowMs;
    this.#slots = new ClockCache(maxKeys);
  }

  take(key: string, limit: number, cost: number, now: number): LimitDecision {
    const slot = this.#slots.get(key) ?? this.#open(key, now);
    this.#roll(slot, this.#bucketAt(now));
    const used = this.#totals[slot] ?? 0;
    if (used + cost > limit) {
      return {
        allowed: false,
        remaining: Math.max(0, limit - used),
        resetMs: this.#untilFree(slot, used + cost - limit, now),
      };
    }
    this.#add(slot, cost);
    return { allowed: true, remaining: limit - used - cost, resetMs: this.#untilFree(slot, 1, now) };
  }

  refund(key: string, _limit: number, cost: number): void {
    const slot = this.#slots.get(key);
    if (slot === undefined) return;
    const index = slot * BUCKETS + ((this.#newest[slot] ?? 0) % BUCKETS);
    this.#add(slot, -Math.min(cost, this.#counts[index] ?? 0));
  }

  #add(slot: number, units: number): void {
    const index = slot * BUCKETS + ((this.#newest[slot] ?? 0) % BUCKETS);
    this.#counts[index] = (this.#counts[index] ?? 0) + units;
    this.#totals[slot] = (this.#totals[slot] ?? 0) + units;
  }

  #bucketAt(now: number): number {
    return Math.floor((now * BUCKETS_PER_WINDOW) / this.#windowMs);
  }

  #roll(slot: number, bucket: number): void {
    const newest = this.#newest[slot] ?? 0;
    if (bucket <= newest) return;
    for (let next = Math.max(newest + 1, bucket - BUCKETS + 1); next <= bucket; next++) {
      const index = slot * BUCKETS + (next % BUCKETS);
      this.#totals[slot] = (this.#totals[slot] ?? 0) - (this.#counts[index] ?? 0);
      this.#counts[index] = 0;
    }
    this.#newest[slot] = bucket;
  }

  /** Milliseconds until at least `units` have left the window. */
  #untilFree(slot: number, units: number, now: number): number {
    const newest = this.#newest[slot] ?? 0;
    let freed = 0;
    for (let bucket = newest - BUCKETS + 1; bucket <= newest; bucket++) {
      freed += this.#counts[slot * BUCKETS + (((bucket % BUCKETS) + BUCKETS) % BUCKETS)] ?? 0;
      if (freed >= units) return this.#leavesAt(bucket) - now;
    }
    return this.#leavesAt(newest) - now;
  }

  /** The first millisecond at which the bucket no longer counts. */
  #leavesAt(bucket: number): number {
    return Math.ceil(((bucket + BUCKETS) * this.#windowMs) / BUCKETS_PER_WINDOW);
  }

  #open(key: string, now: number): number {
    const bucket = this.#bucketAt(now);
    const slot = this.#slots.add(key, (one) =>
      bucket - (this.#newest[one] ?? 0) >= BUCKETS ? 0 : (this.#totals[one] ?? 0),
    );
    if (slot >= this.#totals.length) this.#grow();
    this.#counts.fill(0, slot * BUCKETS, (slot + 1) * BUCKETS);
    this.#totals[slot] = 0;
    this.#newest[slot] = bucket;
    return slot;
  }

  #grow(): void {
    const rows = Math.max(64, this.#totals.length * 2);
    const counts = new Uint32Array(rows * BUCKETS);
    counts.set(this.#counts);
    this.#counts = counts;
    const totals = new Float64Array(rows);
    totals.set(this.#totals);
    this.#totals = totals;
    const newest = new Float64Array(rows);
    newest.set(this.#newest);
    this.#newest = newest;
  }
}

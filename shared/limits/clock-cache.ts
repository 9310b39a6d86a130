/**
 * A bounded map from key to slot, the index of the key's row in a limiter's typed arrays. When full, it evicts like the
 * CLOCK algorithm: a hand moves over the slots and takes the first idle one, or the least used of 16. So a million
 * one-time keys evict each other, and each insertion has a constant cost.
 */
export class ClockCache {
  readonly #byKey = new Map<string, number>();
  readonly #keys: string[] = [];
  readonly #max: number;
  #hand = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#keys.length;
  }

  get(key: string): number | undefined {
    return this.#byKey.get(key);
  }

  /** Assigns a slot to a new key; the caller must clear its row. `use(slot)` is the use of a slot, 0 when idle. */
  add(key: string, use: (slot: number) => number): number {
    const slot = this.#keys.length < this.#max ? this.#keys.length : this.#evict(use);
    this.#keys[slot] = key;
    this.#byKey.set(key, slot);
    return slot;
  }

  #evict(use: (slot: number) => number): number {
    let victim = this.#hand;
    let least = Number.POSITIVE_INFINITY;
    for (let inspected = 0; inspected < MAX_INSPECTED; inspected++) {
      const slot = this.#hand;
      this.#hand = (this.#hand + 1) % this.#max;
      const slotUse = use(slot);
      if (slotUse < least) {
        victim = slot;
        least = slotUse;
      }
      if (slotUse === 0) break;
    }
    this.#byKey.delete(this.#keys[victim] ?? '');
    return victim;
  }
}

const MAX_INSPECTED = 16;

/** A copy of `old` with twice the length, at least 64. */
export function grow(old: Float64Array): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(Math.max(64, old.length * 2));
  larger.set(old);
  return larger;
}

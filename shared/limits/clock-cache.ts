/**
 * A bounded table from key to a small number, the index of that key's row in a limiter's typed arrays. When full, a
 * hand goes round the rows (as the CLOCK algorithm does) and takes the first idle one, or failing that the least used of
 * the few it looked at: an attacker with a million addresses pushes out his own, and each insertion costs the same.
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

  /** `use(slot)` is how much a slot matters, 0 for idle; `fresh` is told of the slot given to `key`, to be emptied. */
  add(key: string, use: (slot: number) => number): number {
    const slot = this.#keys.length < this.#max ? this.#keys.length : this.#evict(use);
    this.#keys[slot] = key;
    this.#byKey.set(key, slot);
    return slot;
  }

  #evict(use: (slot: number) => number): number {
    let victim = this.#hand;
    let least = Number.POSITIVE_INFINITY;
    for (let look = 0; look < LOOKS; look++) {
      const slot = this.#hand;
      this.#hand = (this.#hand + 1) % this.#max;
      const worth = use(slot);
      if (worth < least) {
        victim = slot;
        least = worth;
      }
      if (worth === 0) break;
    }
    this.#byKey.delete(this.#keys[victim] ?? '');
    return victim;
  }
}

const LOOKS = 16;

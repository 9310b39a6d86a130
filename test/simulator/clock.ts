/** A virtual clock with a queue of events, and seeded randomness: a run is the same each time and takes no real time. */

export interface Timer {
  readonly at: number;
  readonly order: number;
  work: (() => void) | null;
}

/** Milliseconds since the start of the run. */
export class VirtualClock {
  #now = 0;
  #order = 0;
  readonly #heap: Timer[] = [];

  get now(): number {
    return this.#now;
  }

  after(delayMs: number, work: () => void): Timer {
    const timer = { at: this.#now + Math.max(0, delayMs), order: this.#order++, work };
    this.#push(timer);
    return timer;
  }

  /** Repeats `work` until the end of the run. */
  every(intervalMs: number, work: () => void): void {
    const repeat = (): void => {
      work();
      this.after(intervalMs, repeat);
    };
    this.after(intervalMs, repeat);
  }

  run(untilMs: number): void {
    for (let next = this.#heap[0]; next && next.at <= untilMs; next = this.#heap[0]) {
      this.#pop();
      const { work } = next;
      if (!work) continue;
      this.#now = next.at;
      next.work = null;
      work();
    }
    this.#now = untilMs;
  }

  #push(timer: Timer): void {
    const heap = this.#heap;
    let index = heap.push(timer) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = heap[parent];
      if (!above || isBefore(above, timer)) break;
      heap[index] = above;
      index = parent;
    }
    heap[index] = timer;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (!last || heap.length === 0) return;
    let index = 0;
    for (;;) {
      const left = 2 * index + 1;
      const a = heap[left];
      const b = heap[left + 1];
      if (!a) break;
      const child = b && isBefore(b, a) ? left + 1 : left;
      const smallest = heap[child];
      if (!smallest || isBefore(last, smallest)) break;
      heap[index] = smallest;
      index = child;
    }
    heap[index] = last;
  }
}

const isBefore = (a: Timer, b: Timer): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);

export const cancel = (timer: Timer | undefined): void => {
  if (timer) timer.work = null;
};

export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed * 2_654_435_761) >>> 0;
  }

  /** In [0, 1): mulberry32. */
  readonly next = (): number => {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let hash = this.#state;
    hash = Math.imul(hash ^ (hash >>> 15), hash | 1);
    hash ^= hash + Math.imul(hash ^ (hash >>> 7), hash | 61);
    return ((hash ^ (hash >>> 14)) >>> 0) / 2 ** 32;
  };

  below(count: number): number {
    return Math.floor(this.next() * count);
  }

  exponential(mean: number): number {
    return -Math.log(1 - this.next()) * mean;
  }

  /** Log-normal with this mean; `sigma` is the deviation of the logarithm. */
  logNormal(mean: number, sigma: number): number {
    const normal = Math.sqrt(-2 * Math.log(1 - this.next())) * Math.cos(2 * Math.PI * this.next());
    return mean * Math.exp(sigma * normal - (sigma * sigma) / 2);
  }
}

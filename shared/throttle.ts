/**
 * Adaptive throttling ("Handling Overload", Site Reliability Engineering) for one service: reject with probability
 * max(0, (requests − K·accepts) / (requests + 1)) Rejected requests count as requests, so that the requests sent stay
 * near K·accepts at any load. `K` decreases from class 0 to class 9, so class 9 is rejected first. The window is four
 * seconds. With the two minutes of the book, an overload of a few seconds would cause rejections for two minutes after
 * its end.
 */
const SLOTS = 8;
const SLOT_MS = 500;
/** Fewer requests in four seconds do not count as overload. */
const MIN_REQUESTS = 10;

/** `K` of a class, 0–9. */
const throttleMultiplier = (priorityClass: number): number => 2 + (5 - priorityClass) * 0.18;

export class AdaptiveThrottle {
  readonly #requests = new Float64Array(SLOTS);
  readonly #accepts = new Float64Array(SLOTS);
  #slot = 0;
  #totalRequests = 0;
  #totalAccepts = 0;

  /** Counts an attempt, or a request that is rejected. */
  onRequest(now: number): void {
    this.#roll(now);
    const index = this.#slot % SLOTS;
    this.#requests[index] = (this.#requests[index] ?? 0) + 1;
    this.#totalRequests++;
  }

  onAccept(now: number): void {
    this.#roll(now);
    const index = this.#slot % SLOTS;
    this.#accepts[index] = (this.#accepts[index] ?? 0) + 1;
    this.#totalAccepts++;
  }

  rejectProbability(priorityClass: number, now: number): number {
    this.#roll(now);
    if (this.#totalRequests < MIN_REQUESTS) return 0;
    const allowed = throttleMultiplier(priorityClass) * this.#totalAccepts;
    return Math.max(0, (this.#totalRequests - allowed) / (this.#totalRequests + 1));
  }

  #roll(now: number): void {
    const slot = Math.floor(now / SLOT_MS);
    if (slot === this.#slot) return;
    const passed = Math.min(slot - this.#slot, SLOTS);
    for (let step = 0; step < passed; step++) {
      const index = (slot - step) % SLOTS;
      this.#totalRequests -= this.#requests[index] ?? 0;
      this.#totalAccepts -= this.#accepts[index] ?? 0;
      this.#requests[index] = 0;
      this.#accepts[index] = 0;
    }
    this.#slot = slot;
  }
}

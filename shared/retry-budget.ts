/**
 * How many retries the traffic has earned (Finagle's RetryBudget): each request deposits a fraction, each retry takes
 * one, deposits older than ten seconds lapse, and a small floor lets a quiet service retry at all. A limit on retries
 * *in flight* (Envoy) was tried first: when an instance is killed all its requests fail in the same millisecond, and
 * most of them found the budget used up by their neighbours.
 */
export class RetryBudget {
  readonly #fraction: number;
  /** One slot a second, a ring. */
  readonly #deposits = new Float64Array(WINDOW_SECONDS);
  #second = 0;
  #balance = 0;

  /** `fraction` 0–1: retries earned per request. */
  constructor(fraction: number) {
    this.#fraction = fraction;
  }

  deposit(now: number): void {
    this.#expire(now);
    const slot = this.#second % WINDOW_SECONDS;
    this.#deposits[slot] = (this.#deposits[slot] ?? 0) + this.#fraction;
    this.#balance += this.#fraction;
  }

  /** Takes one retry out of the budget; false when there is none left. */
  tryWithdraw(now: number): boolean {
    this.#expire(now);
    // The sum of many fractions may fall a hair short of a whole one.
    if (this.#balance + FLOOR_PER_SECOND * WINDOW_SECONDS < 1 - 1e-6) return false;
    const slot = this.#second % WINDOW_SECONDS;
    this.#deposits[slot] = (this.#deposits[slot] ?? 0) - 1;
    this.#balance -= 1;
    return true;
  }

  #expire(now: number): void {
    const second = Math.floor(now / 1000);
    if (second === this.#second) return;
    const passed = Math.min(second - this.#second, WINDOW_SECONDS);
    for (let step = 1; step <= passed; step++) {
      const slot = (second - passed + step) % WINDOW_SECONDS;
      this.#balance -= this.#deposits[slot] ?? 0;
      this.#deposits[slot] = 0;
    }
    this.#second = second;
  }
}

const WINDOW_SECONDS = 10;
const FLOOR_PER_SECOND = 10;

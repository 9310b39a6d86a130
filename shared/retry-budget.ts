/**
 * The number of retries that recent traffic has earned (Finagle's RetryBudget). Each request deposits a fraction, each
 * retry withdraws one, and both expire after ten seconds. A minimum of ten retries per second lets a quiet service
 * retry.
 *
 * Envoy's limit on retries *in flight* does not work here: all requests of a killed instance fail in the same
 * millisecond, and the first of them use up the budget.
 */
export class RetryBudget {
  readonly #fraction: number;
  /** Deposits less withdrawals per second, a ring buffer. */
  readonly #net = new Float64Array(WINDOW_SECONDS);
  #second = 0;
  #balance = 0;

  /** `fraction`: retries that each request earns, 0–1. */
  constructor(fraction: number) {
    this.#fraction = fraction;
  }

  deposit(now: number): void {
    this.#expire(now);
    const slot = this.#second % WINDOW_SECONDS;
    this.#net[slot] = (this.#net[slot] ?? 0) + this.#fraction;
    this.#balance += this.#fraction;
  }

  canWithdraw(now: number): boolean {
    this.#expire(now);
    // Rounding: the sum of many fractions can be slightly below 1.
    return this.#balance + MIN_RETRIES_PER_SECOND * WINDOW_SECONDS >= 1 - 1e-6;
  }

  /** Withdraws one retry; false when the budget is empty. */
  tryWithdraw(now: number): boolean {
    if (!this.canWithdraw(now)) return false;
    const slot = this.#second % WINDOW_SECONDS;
    this.#net[slot] = (this.#net[slot] ?? 0) - 1;
    this.#balance -= 1;
    return true;
  }

  #expire(now: number): void {
    const second = Math.floor(now / 1000);
    if (second === this.#second) return;
    const passed = Math.min(second - this.#second, WINDOW_SECONDS);
    for (let step = 1; step <= passed; step++) {
      const slot = (second - passed + step) % WINDOW_SECONDS;
      this.#balance -= this.#net[slot] ?? 0;
      this.#net[slot] = 0;
    }
    this.#second = second;
  }
}

const WINDOW_SECONDS = 10;
const MIN_RETRIES_PER_SECOND = 10;

import type { Sketch } from './sketch.ts';
import { sketchQuantile } from './sketch.ts';

/**
 * Hedged requests (Dean and Barroso, "The Tail at Scale"): when and how often a second copy of a safe request may be
 * sent. Pure: instants (epoch milliseconds) are arguments.
 */

/** A hedge sooner than this costs more than it saves. */
const MIN_DELAY_MS = 50;
/** The delay in units of the service's 95th percentile. */
const P95_FACTOR = 2;
/** With fewer samples the isolate does not know its own percentile. */
const MIN_SAMPLES = 50;
/** An exponential distribution has its 95th percentile at three times its mean. */
const P95_PER_MEAN = 3;

/**
 * Milliseconds to wait before a request is hedged. `latency` is what this isolate has measured, `expectedMs` the mean
 * latency in the snapshot, for the time until there are enough samples.
 */
export function hedgeDelay(latency: Sketch | null, expectedMs: number | undefined): number {
  const own = latency && hasEnoughSamples(latency) ? sketchQuantile(latency, 0.95) : null;
  const p95 = own ?? P95_PER_MEAN * (expectedMs ?? 0);
  return Math.max(MIN_DELAY_MS, P95_FACTOR * p95);
}

/** Whether the delay follows from the isolate's own measurements. */
export const hasEnoughSamples = ({ count }: Sketch): boolean => count >= MIN_SAMPLES;

/** Hedges earned per request. */
const SHARE = 0.05;
/** Hedges that a new isolate may send before it has earned any, and the most it can save up. */
const INITIAL_CREDIT = 5;
const MAX_CREDIT = 20;
/** Hedges whose results decide whether hedging helps. */
const RECENT = 20;
const MIN_RECENT = 10;
/** Overload slows answers gradually, and the delay with them. The service delays such an answer on purpose. */
const HELD_MS = 5_000;
/** While hedging does not help, one trial hedge a second checks whether it helps again. */
const TRIAL_INTERVAL_MS = 1_000;

/**
 * How many hedges one service may send from this isolate: at most 5 % of its requests. While most hedges lose to the
 * request they copy, the service as a whole is slow, and more copies would only add load: then hedging rests.
 */
export class HedgeBudget {
  #credit = INITIAL_CREDIT;
  /** Newest last; true: the hedge answered first. */
  #recent: boolean[] = [];
  #trialAt = 0;

  onRequest(): void {
    this.#credit = Math.min(MAX_CREDIT, this.#credit + SHARE);
  }

  /** Takes one hedge out of the budget; false when there is none left or hedging does not help. */
  tryHedge(now: number): boolean {
    if (this.#credit < 1) return false;
    if (!this.isUseful()) {
      // Negative after the clock was set back: then ignore the last trial.
      const since = now - this.#trialAt;
      if (since >= 0 && since < TRIAL_INTERVAL_MS) return false;
      this.#trialAt = now;
    }
    this.#credit -= 1;
    return true;
  }

  /**
   * `waitedMs`: from the first attempt to the answer. A delayed answer, such as that of a long poll, says nothing about
   * hedging, because no copy could be faster.
   */
  onResult(won: boolean, waitedMs = 0): void {
    if (!won && waitedMs >= HELD_MS) return;
    this.#recent.push(won);
    if (this.#recent.length > RECENT) this.#recent.shift();
  }

  /** False while more than half of the recent hedges lost. */
  isUseful(): boolean {
    const lost = this.#recent.filter((won) => !won).length;
    return this.#recent.length < MIN_RECENT || lost <= this.#recent.length / 2;
  }
}

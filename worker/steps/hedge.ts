import type { Candidate } from '../../shared/balance/candidate.ts';
import { isFailure } from '../../shared/retry.ts';
import type { CompletedAttempt, Route } from './attempt.ts';

export interface PendingAttempt {
  readonly route: Route;
  /** The instance that was named; null: the gateway picks. */
  readonly candidate: Candidate | null;
  readonly site: string | null;
  readonly spanId: string;
  readonly hedge: boolean;
  /** Epoch milliseconds. */
  readonly startedAt: number;
  /** Also resolves after `cancel`. */
  readonly result: Promise<CompletedAttempt>;
  readonly cancel: () => void;
}

/** How copies of a late request are sent. */
export interface HedgePlan {
  /** Sends one more copy to another instance. Null: not now. */
  readonly sendCopy: () => PendingAttempt | null;
  /** Wait after a copy before the next one. */
  readonly everyMs: number;
  readonly maxCopies: number;
}

export interface SendResult {
  readonly attempt: CompletedAttempt;
  /** Attempts that failed while another one was still running. */
  readonly failedAttempts: readonly CompletedAttempt[];
  /** Attempts that were aborted because another one answered first. */
  readonly cancelled: readonly PendingAttempt[];
  /** Copies sent. */
  readonly hedges: number;
  /** Whether a copy gave the first good answer. */
  readonly hedgeWon: boolean;
}

/** A copy that could not be sent is tried again after this time: the budget or the snapshot may have changed. */
const RECHECK_MS = 250;

const NONE: readonly never[] = [];

export const sentOnce = (attempt: CompletedAttempt): SendResult => ({
  attempt,
  failedAttempts: NONE,
  cancelled: NONE,
  hedges: 0,
  hedgeWon: false,
});

/**
 * Sends a request, and copies of it while there is no answer. The first success wins and the others are aborted. When
 * all fail, the last failure is the result, as with plain retries. `start` calls its argument when the first attempt is
 * late; until then there is no timer and no promise besides those of the attempt.
 */
export async function sendWithHedges(
  start: (onLate: () => void) => PendingAttempt,
  plan: HedgePlan,
): Promise<SendResult> {
  const late: { race?: HedgeRace } = {};
  const first = start(() => {
    late.race = new HedgeRace(first, plan);
  });
  // Ends too when a copy wins, because then this attempt is aborted.
  const attempt = await first.result;
  if (!late.race) return sentOnce(attempt);
  late.race.onResult(first, attempt, false);
  return late.race.result;
}

/** A late request and its copies. */
class HedgeRace {
  readonly #plan: HedgePlan;
  readonly #running: Set<PendingAttempt>;
  readonly #failed: CompletedAttempt[] = [];
  readonly #ended = Promise.withResolvers<SendResult>();
  #hedges = 0;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(first: PendingAttempt, plan: HedgePlan) {
    this.#plan = plan;
    this.#running = new Set([first]);
    this.#sendCopy();
  }

  get result(): Promise<SendResult> {
    return this.#ended.promise;
  }

  /** Ignores the end of an attempt that was cancelled. */
  onResult(from: PendingAttempt, attempt: CompletedAttempt, isCopy: boolean): void {
    if (!this.#running.delete(from)) return;
    const failed = isFailure(attempt.result);
    if (failed && this.#running.size > 0) {
      this.#failed.push(attempt);
      return;
    }
    if (this.#timer !== null) clearTimeout(this.#timer);
    const cancelled = [...this.#running];
    this.#running.clear();
    for (const other of cancelled) other.cancel();
    this.#ended.resolve({
      attempt,
      cancelled,
      failedAttempts: this.#failed,
      hedges: this.#hedges,
      hedgeWon: isCopy && !failed,
    });
  }

  #sendCopy(): void {
    const { sendCopy, everyMs, maxCopies } = this.#plan;
    const copy = sendCopy();
    if (copy) {
      this.#hedges++;
      this.#running.add(copy);
      void copy.result.then((attempt) => this.onResult(copy, attempt, true));
    }
    if (this.#hedges < maxCopies) {
      this.#timer = setTimeout(() => this.#sendCopy(), copy ? everyMs : RECHECK_MS);
    }
  }
}

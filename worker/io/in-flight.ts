import type { IsolateState } from '../../shared/balance/candidate.ts';
import { elapsedMs } from '../../shared/elapsed.ts';

interface InFlightAttempt {
  readonly local: IsolateState;
  /** Epoch ms. */
  readonly until: number;
}

const SWEEP_INTERVAL_MS = 1_000;

/**
 * The attempts of this isolate that have no response yet. Maintains `pending` of each instance. When a client
 * disconnects before the edge watches it, the runtime ends the request and runs no more code. Its attempt is removed
 * after the timeout.
 */
export class InFlightTracker {
  readonly #attempts = new Set<InFlightAttempt>();
  #sweptAt = 0;

  begin(local: IsolateState, timeoutMs: number, now: number): InFlightAttempt {
    if (elapsedMs(this.#sweptAt, now) >= SWEEP_INTERVAL_MS) {
      this.#sweptAt = now;
      for (const attempt of this.#attempts) if (attempt.until < now) this.end(attempt);
    }
    const attempt = { local, until: now + timeoutMs };
    this.#attempts.add(attempt);
    local.pending++;
    return attempt;
  }

  end(attempt: InFlightAttempt): void {
    if (this.#attempts.delete(attempt)) attempt.local.pending--;
  }
}

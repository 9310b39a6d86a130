import type { IsolateState } from '../../shared/balance/candidate.ts';

interface InFlightAttempt {
  readonly local: IsolateState;
  /** Epoch ms. */
  readonly until: number;
}

const SWEEP_EVERY_MS = 1_000;

/**
 * The tries of this isolate that are not answered yet; keeps `pending` of each instance. When a client hangs up before
 * anyone watches it, the runtime ends its request's work there and then, without a last word to the code: such a try is
 * taken out when its own timeout is over.
 */
export class InFlightTracker {
  readonly #tries = new Set<InFlightAttempt>();
  #sweptAt = 0;

  begin(local: IsolateState, timeoutMs: number, now: number): InFlightAttempt {
    if (Math.abs(now - this.#sweptAt) >= SWEEP_EVERY_MS) {
      this.#sweptAt = now;
      for (const one of this.#tries) if (one.until < now) this.end(one);
    }
    const started = { local, until: now + timeoutMs };
    this.#tries.add(started);
    local.pending++;
    return started;
  }

  end(one: InFlightAttempt): void {
    if (this.#tries.delete(one)) one.local.pending--;
  }
}

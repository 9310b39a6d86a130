import type { LocalView } from '../../shared/balance/candidate.ts';

interface Try {
  readonly local: LocalView;
  /** Epoch ms. */
  readonly until: number;
}

const SWEEP_EVERY_MS = 1_000;

/**
 * The tries of this isolate that are not answered yet; keeps `pending` of each instance. When a client hangs up before
 * anyone watches it, the runtime ends its request's work there and then, without a last word to the code: such a try is
 * taken out when its own timeout is over.
 */
export class InFlight {
  readonly #tries = new Set<Try>();
  #sweptAt = 0;

  begin(local: LocalView, timeoutMs: number, now: number): Try {
    if (Math.abs(now - this.#sweptAt) >= SWEEP_EVERY_MS) {
      this.#sweptAt = now;
      for (const one of this.#tries) if (one.until < now) this.end(one);
    }
    const started = { local, until: now + timeoutMs };
    this.#tries.add(started);
    local.pending++;
    return started;
  }

  end(one: Try): void {
    if (this.#tries.delete(one)) one.local.pending--;
  }
}

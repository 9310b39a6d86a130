import { Gcra } from '../../shared/limits/gcra.ts';
import { BoundedCache } from './bounded-cache.ts';

/** An agent publishes at most once a second; a person and a monitor look more often. */
const REQUESTS_PER_SECOND = 50;
const REQUEST_BURST = 200;
const MAX_FAILURES = 20;
const FAILURE_WINDOW_MS = 60_000;
const MAX_CLIENTS = 4_096;

interface Failures {
  since: number;
  count: number;
}

/**
 * Limits the edge's own endpoints for each client of this isolate before they do any work, because a signature is cheap
 * to forge and expensive to verify. Twenty wrong credentials within a minute block their client until the minute is
 * over.
 */
export class AdminLimits {
  readonly #requests = new Gcra(1_000, REQUEST_BURST, MAX_CLIENTS);
  readonly #failures = new BoundedCache<Failures>(MAX_CLIENTS);

  /** Seconds until the client may send a request; 0: it may now, and the request is counted. */
  takeRequest(client: string, now: number): number {
    const { allowed, resetMs } = this.#requests.take(client, REQUESTS_PER_SECOND, 1, now);
    return allowed ? 0 : Math.max(1, Math.ceil(resetMs / 1_000));
  }

  /** Seconds until the client may present a credential; 0: it may now. */
  credentialWait(client: string, now: number): number {
    const failures = this.#current(client, now);
    if (!failures || failures.count < MAX_FAILURES) return 0;
    return Math.max(1, Math.ceil((failures.since + FAILURE_WINDOW_MS - now) / 1_000));
  }

  recordFailure(client: string, now: number): void {
    const failures = this.#current(client, now);
    if (failures) failures.count += 1;
    else this.#failures.set(client, { since: now, count: 1 });
  }

  #current(client: string, now: number): Failures | undefined {
    const failures = this.#failures.get(client);
    // `now` before `since`: the clock was set back. End the block instead of extending it.
    return failures && now >= failures.since && now < failures.since + FAILURE_WINDOW_MS
      ? failures
      : undefined;
  }
}

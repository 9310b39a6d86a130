import type { RequestOutcome } from '../counters.ts';
import type { IncomingRequest } from '../incoming-request.ts';

const MAX_PROBLEMS_PER_SECOND = 5;

interface LogEntry {
  incoming: IncomingRequest;
  service: string;
  instance: string | null;
  outcome: RequestOutcome;
}

/**
 * Writes one JSON line per request: problems up to a rate, and a sample of all others (a 429 is no problem). Never logs
 * the query or headers, which may hold secrets.
 */
export class EdgeRequestLog {
  readonly #sample: number;
  readonly #random: () => number;
  #second = 0;
  #problems = 0;
  #suppressed = 0;

  /** `sample`: share of requests without a problem that are logged, 0–1. */
  constructor(sample: number, random: () => number) {
    this.#sample = sample;
    this.#random = random;
  }

  log({ incoming, service, instance, outcome }: LogEntry): void {
    const { kind, attempts, status } = outcome;
    const isOrdinary = kind === 'answer' || kind === 'limited' || kind === 'forbidden';
    const isProblem = !isOrdinary || attempts > 1 || status >= 500;
    const isLogged = isProblem ? this.#allowProblem(incoming.startedAt) : this.#isSampled();
    if (!isLogged) return;
    const line = JSON.stringify({
      event: 'request',
      requestId: incoming.requestId,
      traceId: incoming.trace.traceId,
      method: incoming.method,
      host: incoming.host,
      path: incoming.path,
      client: incoming.clientAddress,
      service,
      instance,
      ...outcome,
      ...(this.#suppressed > 0 && { suppressed: this.#suppressed }),
    });
    this.#suppressed = 0;
    if (isProblem) console.warn(line);
    else console.log(line);
  }

  #isSampled(): boolean {
    return this.#sample > 0 && this.#random() < this.#sample;
  }

  #allowProblem(now: number): boolean {
    const second = Math.floor(now / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#problems = 0;
    }
    if (this.#problems++ < MAX_PROBLEMS_PER_SECOND) return true;
    this.#suppressed++;
    return false;
  }
}

import type { RequestOutcome } from '../counters.ts';
import type { IncomingRequest } from '../steps/guard.ts';

const PROBLEMS_PER_SECOND = 5;

/**
 * One JSON line a request: a sample of the ordinary (a 429 is one), every problem up to a rate. Of the client only its address; no
 * query, no headers: they may hold secrets.
 */
export class EdgeRequestLog {
  readonly #sample: number;
  #second = 0;
  #problems = 0;
  #suppressed = 0;

  constructor(sample: number) {
    this.#sample = sample;
  }

  log(
    incoming: IncomingRequest,
    service: string,
    instance: string | null,
    ending: RequestOutcome,
    random: () => number,
  ): void {
    const ordinary = ending.kind === 'answer' || ending.kind === 'limited' || ending.kind === 'forbidden';
    const isProblem = !ordinary || ending.attempts > 1 || ending.status >= 500;
    if (isProblem ? !this.#mayReport(incoming.startedAt) : !(this.#sample > 0 && random() < this.#sample))
      return;
    const line = {
      event: 'request',
      requestId: incoming.requestId,
      method: incoming.method,
      host: incoming.host,
      path: incoming.path,
      client: incoming.clientAddress,
      service,
      instance,
      ...ending,
      ...(this.#suppressed > 0 && { suppressed: this.#suppressed }),
    };
    this.#suppressed = 0;
    if (isProblem) console.warn(JSON.stringify(line));
    else console.log(JSON.stringify(line));
  }

  #mayReport(now: number): boolean {
    const second = Math.floor(now / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#problems = 0;
    }
    if (this.#problems++ < PROBLEMS_PER_SECOND) return true;
    this.#suppressed++;
    return false;
  }
}

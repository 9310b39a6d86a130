import { ConnectionOpener, MAX_CONNECTION_AGE_MS, monotonicMs } from '../opener.ts';
import type { Probe, ProbeObservation, ProbeTarget } from '../target.ts';
import { ProbeConnection } from './connection.ts';
import { sendProbe } from './exchange.ts';

/**
 * HTTP and HTTPS probes over one kept-alive connection. `onClosed` is called when the instance closes that connection
 * between two probes, which is a reason to probe at once. Redirects are not followed.
 */
export const createHttpProbe = (target: ProbeTarget, onClosed: () => void, clock = monotonicMs): Probe =>
  new HttpProbe(target, new ConnectionOpener(target, onClosed, clock));

class HttpProbe implements Probe {
  readonly #target: ProbeTarget;
  readonly #host: string;
  readonly #opener: ConnectionOpener;
  readonly #main: ProbeConnection;
  /** Null while there are none, which is nearly always. */
  #extraConnections: Set<ProbeConnection> | null = null;
  #closed = false;

  constructor(target: ProbeTarget, opener: ConnectionOpener) {
    this.#target = target;
    this.#host = new URL(target.url).host;
    this.#opener = opener;
    this.#main = new ProbeConnection(opener);
  }

  async run(): Promise<ProbeObservation> {
    const main = this.#main;
    if (!main.busy) {
      if (main.isOpen && this.#opener.clock() - main.startedAt > MAX_CONNECTION_AGE_MS) main.drop();
      return this.#attempt(main, true);
    }
    // The previous probe still waits for its response, so this one uses an extra connection to keep the interval.
    const extra = new ProbeConnection(this.#opener);
    this.#extraConnections ??= new Set();
    this.#extraConnections.add(extra);
    const observation = await this.#attempt(extra, false);
    this.#extraConnections?.delete(extra);
    if (this.#extraConnections?.size === 0) this.#extraConnections = null;
    extra.drop();
    return observation;
  }

  close(): void {
    this.#closed = true;
    for (const connection of [this.#main, ...(this.#extraConnections ?? [])]) connection.drop();
  }

  async #attempt(connection: ProbeConnection, mayRetry: boolean): Promise<ProbeObservation> {
    const reused = connection.isOpen;
    const { observation, unanswered } = await sendProbe({
      connection,
      check: this.#target.check,
      host: this.#host,
      clock: this.#opener.clock,
    });
    // RFC 9112 §9.3.1: a reused connection may close just as the request is sent, which says nothing about the instance.
    return unanswered && reused && mayRetry && !this.#closed ? this.#attempt(connection, false) : observation;
  }
}

import { ConnectionOpener, MAX_CONNECTION_AGE_MS, monotonicMs } from '../opener.ts';
import type { Probe, ProbeObservation, ProbeTarget } from '../target.ts';
import { type Http2Connection, openHttp2Connection } from './connection.ts';
import { sendHttp2Probe } from './exchange.ts';
import { grpcHealthRequest } from './grpc.ts';

/**
 * HTTP/2 and gRPC probes over one kept-alive connection. `onClosed` is called when the instance closes that connection
 * between two probes, which is a reason to probe at once. Redirects are not followed.
 */
export const createHttp2Probe = (target: ProbeTarget, onClosed: () => void, clock = monotonicMs): Probe =>
  new Http2Probe(target, new ConnectionOpener(target, onClosed, clock));

class Http2Probe implements Probe {
  readonly #target: ProbeTarget;
  readonly #opener: ConnectionOpener;
  readonly #extraConnections: Http2Connection[] = [];
  #main: Http2Connection;
  #closed = false;

  constructor(target: ProbeTarget, opener: ConnectionOpener) {
    this.#target = target;
    this.#opener = opener;
    this.#main = openHttp2Connection(opener, target.url);
  }

  async run(): Promise<ProbeObservation> {
    const main = this.#main;
    if (!main.busy) {
      if (main.used && this.#opener.clock() - main.startedAt > MAX_CONNECTION_AGE_MS) this.#replaceMain();
      return this.#attempt(this.#main, true);
    }
    // The previous probe still waits for its response, so this one uses an extra connection to keep the interval.
    const extra = openHttp2Connection(this.#opener, this.#target.url);
    this.#extraConnections.push(extra);
    const observation = await this.#attempt(extra, false);
    this.#extraConnections.splice(this.#extraConnections.indexOf(extra), 1);
    extra.destroy();
    return observation;
  }

  close(): void {
    this.#closed = true;
    for (const connection of [this.#main, ...this.#extraConnections]) connection.destroy();
  }

  async #attempt(connection: Http2Connection, mayRetry: boolean): Promise<ProbeObservation> {
    const { check, url } = this.#target;
    const reused = connection.used;
    connection.busy = true;
    const headers = { 'user-agent': 'acgs-lb-agent', accept: '*/*', ...check.headers };
    const { observation, unanswered } = await sendHttp2Probe(
      check.type === 'grpc'
        ? grpcHealthRequest(headers)
        : { path: check.path, method: check.method, headers },
      {
        connection,
        check,
        host: new URL(url).host,
        clock: this.#opener.clock,
        onConnectTimeout: () => {
          // There is no request to abort yet, so the connection is destroyed.
          if (connection === this.#main && !this.#closed) this.#replaceMain();
          else connection.destroy();
        },
      },
    );
    connection.busy = false;
    // RFC 9112 §9.3.1: a reused connection may close just as the request is sent, which says nothing about the instance.
    return unanswered && reused && mayRetry && !this.#closed ? this.#attempt(this.#main, false) : observation;
  }

  #replaceMain(): void {
    this.#main.destroy();
    this.#main = openHttp2Connection(this.#opener, this.#target.url);
  }
}

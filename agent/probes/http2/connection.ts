import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { Client } from 'undici';
import type { ConnectionOpener } from '../opener.ts';

/** One kept-alive HTTP/2 connection to an instance. */
export interface Http2Connection {
  readonly client: Client;
  busy: boolean;
  /** A response was received on the current socket, so a failure may come from the age of the socket. */
  used: boolean;
  /** When the current socket was opened, in milliseconds of `clock`. */
  startedAt: number;
  connectMs?: number;
  tlsMs?: number;
  /** The next close is caused by the prober, or was announced by the instance. */
  expectClose: boolean;
  destroy(): void;
}

/** Longer than any interval: the connection stays open between probes, so that a close is noticed. */
const KEEP_OPEN_MS = 3_600_000;

type Connected = (...result: [error: null, socket: Socket] | [error: Error, socket: null]) => void;

export const openHttp2Connection = (opener: ConnectionOpener, url: string): Http2Connection =>
  new ClientConnection(opener, new URL(url).origin);

class ClientConnection implements Http2Connection {
  readonly client: Client;
  busy = false;
  used = false;
  startedAt: number;
  declare connectMs?: number;
  declare tlsMs?: number;
  expectClose = false;
  readonly #opener: ConnectionOpener;
  #socket: Socket | undefined;
  #destroyed = false;

  constructor(opener: ConnectionOpener, origin: string) {
    this.#opener = opener;
    this.startedAt = opener.clock();
    this.client = new Client(origin, {
      allowH2: true,
      connectTimeout: 0,
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: KEEP_OPEN_MS,
      keepAliveMaxTimeout: KEEP_OPEN_MS,
      // Extends the server's Keep-Alive hint, so that the server closes the connection and the close is seen.
      keepAliveTimeoutThreshold: -KEEP_OPEN_MS,
      connect: (_, done) => {
        // undici reads the protocol from this property. Without TLS this means prior knowledge.
        this.#socket = Object.assign(opener.connect({ alpn: 'h2' }), { alpnProtocol: 'h2' });
        awaitConnection(this.#socket, this, opener.clock, done);
      },
    });
    this.client.on('disconnect', () => this.#onDisconnect());
  }

  destroy(): void {
    this.#destroyed = true;
    this.client.destroy().catch(() => {});
    // undici leaves the socket open if the client is destroyed while it connects.
    this.#socket?.destroy();
  }

  #onDisconnect(): void {
    const unexpected = !this.busy && !this.expectClose && !this.#destroyed;
    this.expectClose = false;
    if (unexpected) this.#opener.onClosed();
  }
}

/** Calls `done` once when the socket is ready or has failed, and records the times of its phases. */
function awaitConnection(
  socket: Socket,
  connection: Http2Connection,
  clock: () => number,
  done: Connected,
): void {
  const startedAt = clock();
  connection.startedAt = startedAt;
  connection.used = false;
  delete connection.tlsMs;
  const settle = (error: Error | null) => {
    socket.off('connect', onConnect).off('secureConnect', onSecureConnect).off('close', onClose);
    socket.off('error', settle).on('error', ignoreError);
    if (error) done(error, null);
    else done(null, socket);
  };
  const onConnect = () => {
    connection.connectMs = clock() - startedAt;
    if (!(socket instanceof TLSSocket)) settle(null);
  };
  const onSecureConnect = () => {
    connection.tlsMs = clock() - startedAt - (connection.connectMs ?? 0);
    settle(null);
  };
  const onClose = () => settle(new Error('connection closed'));
  socket
    .on('connect', onConnect)
    .on('secureConnect', onSecureConnect)
    .on('error', settle)
    .on('close', onClose);
}

/** A socket without a listener would end the process. undici reports the errors of a connected socket. */
const ignoreError = (): void => {};

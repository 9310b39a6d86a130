import net, { type Socket } from 'node:net';
import tls, { TLSSocket } from 'node:tls';
import { Client } from 'undici';
import { guardedLookup } from './guarded-lookup.ts';
import { type ProbeTarget, type ProbeTlsOptions, readProbeTlsOptions } from './target.ts';

/** One kept-alive HTTP connection to an instance. */
export interface ProbeConnection {
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

/**
 * Opens connections to one instance. The agent keeps one of these, with one connection, for every instance: classes, because
 * closures would cost each instance several kilobytes.
 */
export class ConnectionOpener {
  readonly clock: () => number;
  /** The instance closed a connection between two probes. */
  readonly onClosed: () => void;
  readonly #target: ProbeTarget;
  #files: ProbeTlsOptions | undefined;

  /** Throws if a certificate file cannot be read. */
  constructor(target: ProbeTarget, onClosed: () => void, clock: () => number) {
    this.#target = target;
    this.onClosed = onClosed;
    this.clock = clock;
    this.#files = target.url.startsWith('https:') ? readProbeTlsOptions(target.check.tls ?? {}) : undefined;
  }

  open(): ProbeConnection {
    const { url, http2 = false } = this.#target;
    return new ClientConnection(this, { origin: new URL(url).origin, http2 });
  }

  connect(): Socket {
    const { url, allowNetworks, http2 = false } = this.#target;
    const { protocol, hostname, port } = new URL(url);
    const secure = protocol === 'https:';
    const host = hostname.replace(/^\[|\]$/g, '');
    const address = {
      host,
      port: Number(port) || (secure ? 443 : 80),
      noDelay: true,
      ...(allowNetworks ? { lookup: guardedLookup(allowNetworks) } : {}),
    };
    if (!secure) {
      const socket = net.connect(address);
      // undici reads the protocol from here. Without TLS it is by prior knowledge.
      return http2 ? Object.assign(socket, { alpnProtocol: 'h2' }) : socket;
    }
    this.#readFilesAgain();
    const servername = this.#files?.servername ?? (net.isIP(host) ? undefined : host);
    return tls.connect({
      ...address,
      ...this.#files,
      ALPNProtocols: [http2 ? 'h2' : 'http/1.1'],
      ...(servername ? { servername } : {}),
    });
  }

  /** The certificates may have been renewed. If they cannot be read, the last ones stay in use. */
  #readFilesAgain(): void {
    try {
      this.#files = readProbeTlsOptions(this.#target.check.tls ?? {});
    } catch {
      // The error is reported at the next restart or change of the configuration.
    }
  }
}

class ClientConnection implements ProbeConnection {
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

  constructor(opener: ConnectionOpener, { origin, http2 }: { origin: string; http2: boolean }) {
    this.#opener = opener;
    this.startedAt = opener.clock();
    this.client = new Client(origin, {
      allowH2: http2,
      connectTimeout: 0,
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: KEEP_OPEN_MS,
      keepAliveMaxTimeout: KEEP_OPEN_MS,
      // Extends the server's Keep-Alive hint, so that the server closes the connection and the close is seen.
      keepAliveTimeoutThreshold: -KEEP_OPEN_MS,
      connect: (_, done) => {
        this.#socket = opener.connect();
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
  connection: ProbeConnection,
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

import net, { type Socket } from 'node:net';
import tls, { TLSSocket } from 'node:tls';
import { Client } from 'undici';
import { guardedLookup } from './guarded-lookup.ts';
import { type ProbeTarget, readProbeTlsOptions } from './target.ts';

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

/** Creates connections to one instance. Throws if a certificate file cannot be read. */
export function createConnectionFactory(
  target: ProbeTarget,
  onClosed: () => void,
  clock: () => number,
): () => ProbeConnection {
  const url = new URL(target.url);
  const secure = url.protocol === 'https:';
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const address = {
    host,
    port: Number(url.port) || (secure ? 443 : 80),
    noDelay: true,
    ...(target.allowNetworks ? { lookup: guardedLookup(target.allowNetworks) } : {}),
  };
  let files = secure ? readProbeTlsOptions(target.check.tls ?? {}) : undefined;
  const servername = files?.servername ?? (net.isIP(host) ? undefined : host);

  /** Reads the certificates again, which may have been renewed. If that fails, the last ones stay in use. */
  function secureAddress(): tls.ConnectionOptions {
    try {
      files = readProbeTlsOptions(target.check.tls ?? {});
    } catch {
      // The error is reported at the next restart or change of the configuration.
    }
    return { ...address, ...files, ALPNProtocols: ['http/1.1'], ...(servername ? { servername } : {}) };
  }

  return () => {
    let socket: Socket | undefined;
    let destroyed = false;
    const client = new Client(url.origin, {
      allowH2: false,
      connectTimeout: 0,
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: KEEP_OPEN_MS,
      keepAliveMaxTimeout: KEEP_OPEN_MS,
      // Extends the server's Keep-Alive hint, so that the server closes the connection and the close is seen.
      keepAliveTimeoutThreshold: -KEEP_OPEN_MS,
      connect: (_, done) => {
        socket = secure ? tls.connect(secureAddress()) : net.connect(address);
        awaitConnection(socket, connection, clock, done);
      },
    });
    const connection: ProbeConnection = {
      client,
      busy: false,
      used: false,
      startedAt: clock(),
      expectClose: false,
      destroy() {
        destroyed = true;
        client.destroy().catch(() => {});
        // undici leaves the socket open if the client is destroyed while it connects.
        socket?.destroy();
      },
    };
    client.on('disconnect', () => {
      const unexpected = !connection.busy && !connection.expectClose && !destroyed;
      connection.expectClose = false;
      if (unexpected) onClosed();
    });
    return connection;
  };
}

/** Calls `done` once when the socket is ready or has failed, and records the times of its phases. */
function awaitConnection(
  socket: Socket,
  connection: ProbeConnection,
  clock: () => number,
  done: (...result: [error: null, socket: Socket] | [error: Error, socket: null]) => void,
): void {
  const startedAt = clock();
  connection.startedAt = startedAt;
  connection.used = false;
  delete connection.tlsMs;
  let settled = false;
  const settle = (error: Error | null) => {
    if (settled) return;
    settled = true;
    if (error) done(error, null);
    else done(null, socket);
  };
  socket.once('connect', () => {
    connection.connectMs = clock() - startedAt;
    if (!(socket instanceof TLSSocket)) settle(null);
  });
  socket.once('secureConnect', () => {
    connection.tlsMs = clock() - startedAt - (connection.connectMs ?? 0);
    settle(null);
  });
  socket.on('error', settle);
  socket.once('close', () => settle(new Error('connection closed')));
}

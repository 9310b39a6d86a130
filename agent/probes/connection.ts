import net, { type Socket } from 'node:net';
import tls from 'node:tls';
import { Client } from 'undici';
import { guardedLookup } from './guarded-lookup.ts';
import { type ProbeTarget, readProbeTlsOptions } from './target.ts';

/** One kept-alive HTTP connection to an instance, and what is known of its life. */
export interface ProbeConnection {
  readonly client: Client;
  busy: boolean;
  /** Whether an answer came over the present socket: then a failure may be the socket's age, not the instance's. */
  used: boolean;
  /** When the present socket was begun, by the clock. */
  startedAt: number;
  connectMs?: number;
  tlsMs?: number;
  /** The next close is our own doing, or was announced. */
  expectClose: boolean;
  destroy(): void;
}

/** Longer than any interval: the connection stays open between probes, so that its end can be noticed. */
const KEEP_OPEN_MS = 3_600_000;

/** Makes connections to one instance. Throws when a certificate file cannot be read. */
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

  /** With the certificates as they are on disk by now; where they are being replaced, with the last that could be read. */
  function secureAddress(): tls.ConnectionOptions {
    try {
      files = readProbeTlsOptions(target.check.tls ?? {});
    } catch {
      // What is wrong with them shows at a restart or when the configuration changes.
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
      // Added to the server's own Keep-Alive hint: the server shall end the connection, so that we see it end.
      keepAliveTimeoutThreshold: -KEEP_OPEN_MS,
      connect: (_, done) => {
        const began = clock();
        connection.startedAt = began;
        let told = false;
        const tell = (error: Error | null) => {
          if (told) return;
          told = true;
          if (error) done(error, null);
          else done(null, opening);
        };
        connection.used = false;
        delete connection.tlsMs;
        const opening: Socket = secure ? tls.connect(secureAddress()) : net.connect(address);
        socket = opening;
        opening.once('connect', () => {
          connection.connectMs = clock() - began;
          if (!secure) tell(null);
        });
        opening.once('secureConnect', () => {
          connection.tlsMs = clock() - began - (connection.connectMs ?? 0);
          tell(null);
        });
        opening.on('error', tell);
        opening.once('close', () => tell(new Error('connection closed')));
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
        // A client that is destroyed while it connects leaves the half-open socket behind.
        socket?.destroy();
      },
    };
    client.on('disconnect', () => {
      const hint = !connection.busy && !connection.expectClose && !destroyed;
      connection.expectClose = false;
      if (hint) onClosed();
    });
    return connection;
  };
}

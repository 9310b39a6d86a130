import net from 'node:net';
import tls from 'node:tls';
import { Client, type Dispatcher } from 'undici';
import { errorCode, probeError } from './errors.ts';
import { checkBody, checkStatus, wantsBody } from './expect.ts';
import { type Observation, type Probe, readTlsFiles, type Target } from './target.ts';

/** Of an answer's body this much is read; a health page is small, and a probe must never fill memory. */
const BODY_LIMIT = 64 * 1024;
/** Longer than any interval: the connection stays open between probes, so that its end can be noticed. */
const KEEP_OPEN_MS = 3_600_000;

interface Connection {
  client: Client;
  busy: boolean;
  /** Whether an answer came over the present socket: then a failure may be the socket's age, not the instance. */
  used: boolean;
  connectMs?: number;
  tlsMs?: number;
  /** The next close is our own doing. */
  expectClose: boolean;
}

/**
 * HTTP and HTTPS probes over one kept-alive connection. When the instance ends that connection between two probes,
 * `onClosed` is called: a hint that something happened, no proof. No redirects are followed.
 */
export function createHttpProbe(
  target: Target,
  onClosed: () => void,
  clock = () => performance.now(),
): Probe {
  const { check } = target;
  const url = new URL(target.url);
  const host = url.host;
  const secure = url.protocol === 'https:';
  const files = secure ? readTlsFiles(check.tls ?? {}) : undefined;
  const readsBody = wantsBody(check.expect);
  const headers = {
    'user-agent': 'acgs-lb-agent',
    accept: '*/*',
    ...(check.method === 'POST' ? { 'content-length': '0' } : {}),
    ...check.headers,
  };
  const main = open();
  const spare = new Set<Connection>();
  let closed = false;

  function open(): Connection {
    const connection: Connection = {
      busy: false,
      used: false,
      expectClose: false,
      client: new Client(url.origin, {
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
          const port = Number(url.port) || (secure ? 443 : 80);
          const address = { host: url.hostname.replace(/^\[|\]$/g, ''), port, noDelay: true };
          const name = files?.servername ?? (net.isIP(address.host) ? undefined : address.host);
          const socket = secure
            ? tls.connect({
                ...address,
                ...files,
                ...(name ? { servername: name } : {}),
                ALPNProtocols: ['http/1.1'],
              })
            : net.connect(address);
          connection.used = false;
          delete connection.tlsMs;
          socket.once('connect', () => {
            connection.connectMs = clock() - began;
            if (!secure) done(null, socket);
          });
          if (secure) {
            socket.once('secureConnect', () => {
              connection.tlsMs = clock() - began - (connection.connectMs ?? 0);
              done(null, socket);
            });
          }
          let failed = false;
          socket.on('error', (error) => {
            if (!failed) done(error, null);
            failed = true;
          });
        },
      }),
    };
    connection.client.on('disconnect', () => {
      const hint = !connection.busy && !connection.expectClose && !closed;
      connection.expectClose = false;
      if (hint) onClosed();
    });
    return connection;
  }

  async function run(): Promise<Observation> {
    if (!main.busy) return attempt(main, true);
    // The previous probe still waits for its answer: this one takes a connection of its own, to keep the interval.
    const extra = open();
    spare.add(extra);
    const observation = await attempt(extra, false);
    spare.delete(extra);
    extra.expectClose = true;
    extra.client.destroy().catch(() => {});
    return observation;
  }

  async function attempt(connection: Connection, mayRepeat: boolean): Promise<Observation> {
    const reused = connection.used;
    connection.busy = true;
    const { observation, stale } = await ask(connection);
    connection.busy = false;
    // RFC 9112 §9.3.1: a reused connection may end as we write; that says nothing about the instance.
    return stale && reused && mayRepeat && !closed ? attempt(connection, false) : observation;
  }

  function ask(connection: Connection): Promise<{ observation: Observation; stale: boolean }> {
    return new Promise((resolve) => {
      const began = clock();
      const fresh = !connection.used;
      let firstByteMs: number | undefined;
      let body = '';
      let wrong: string | null = null;
      let settled = false;
      let controller: Dispatcher.DispatchController | undefined;

      const finish = (error: string | null, stale = false) => {
        if (settled) return;
        settled = true;
        clearTimeout(timer);
        const latencyMs = clock() - began;
        const timing = {
          ...(fresh && connection.connectMs !== undefined ? { connectMs: connection.connectMs } : {}),
          ...(fresh && connection.tlsMs !== undefined ? { tlsMs: connection.tlsMs } : {}),
          ...(firstByteMs === undefined ? {} : { firstByteMs }),
        };
        resolve({
          observation: { ok: error === null, latencyMs, timing, ...(error === null ? {} : { error }) },
          stale,
        });
      };
      const abort = (error: string) => {
        connection.expectClose = true;
        finish(error);
        if (controller) controller.abort(new Error(error));
        else connection.client.destroy().catch(() => {});
      };
      const timer = setTimeout(() => {
        abort(`no answer from ${host} within ${check.timeout} ms`);
      }, check.timeout);

      connection.client.dispatch(
        { path: check.path, method: check.method, headers },
        {
          onRequestStart(started) {
            controller = started;
          },
          onResponseStart(_, status) {
            firstByteMs = clock() - began;
            connection.used = true;
            wrong = checkStatus(check.expect, status);
          },
          onResponseData(_, chunk) {
            if (readsBody && body.length < BODY_LIMIT) body += chunk.toString('utf8');
            received += chunk.length;
            if (received > BODY_LIMIT) {
              // Enough has been read to judge; the rest of a large page is not waited for.
              const error = wrong ?? (readsBody ? checkBody(check.expect, body) : null);
              connection.expectClose = true;
              finish(error);
              controller?.abort(new Error('body limit'));
            }
          },
          onResponseEnd() {
            finish(wrong ?? (readsBody ? checkBody(check.expect, body) : null));
          },
          onResponseError(_, error) {
            const code = errorCode(error);
            const stale =
              firstByteMs === undefined &&
              (code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || code === 'EPIPE');
            finish(probeError(error, host), stale);
          },
        },
      );
      let received = 0;
    });
  }

  return {
    run,
    close() {
      closed = true;
      for (const connection of [main, ...spare]) connection.client.destroy().catch(() => {});
    },
  };
}

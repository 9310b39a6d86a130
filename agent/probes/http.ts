import type { Dispatcher } from 'undici';
import { createConnectionFactory, type ProbeConnection } from './connection.ts';
import { errorCode, probeError } from './errors.ts';
import { checkBody, checkStatus, needsBody } from './expectation.ts';
import type { Probe, ProbeObservation, ProbeTarget } from './target.ts';

/** At most this much of a body is read. */
const MAX_BODY_BYTES = 64 * 1024;
/**
 * A connection is replaced after this time. An old connection would not notice that the instance accepts no new ones, or
 * that the host name resolves to another address.
 */
const MAX_CONNECTION_AGE_MS = 60_000;
/** Errors that an old connection may cause before the first byte of a response. */
const CLOSED_CODES = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE']);

/**
 * HTTP and HTTPS probes over one kept-alive connection. `onClosed` is called when the instance closes that connection
 * between two probes, which is a reason to probe at once. Redirects are not followed.
 */
export function createHttpProbe(
  target: ProbeTarget,
  onClosed: () => void,
  clock = () => performance.now(),
): Probe {
  const { check } = target;
  const host = new URL(target.url).host;
  const readsBody = needsBody(check.expect);
  const headers = { 'user-agent': 'acgs-lb-agent', accept: '*/*', ...check.headers };
  const request = { path: check.path, method: check.method, headers };
  const open = createConnectionFactory(target, onClosed, clock);
  const spare = new Set<ProbeConnection>();
  let main = open();
  let closed = false;

  async function run(): Promise<ProbeObservation> {
    if (!main.busy) {
      if (main.used && clock() - main.startedAt > MAX_CONNECTION_AGE_MS) {
        main.destroy();
        main = open();
      }
      return attempt(main, true);
    }
    // The previous probe still waits for its response, so this one uses an extra connection to keep the interval.
    const extra = open();
    spare.add(extra);
    const observation = await attempt(extra, false);
    spare.delete(extra);
    extra.destroy();
    return observation;
  }

  async function attempt(connection: ProbeConnection, mayRetry: boolean): Promise<ProbeObservation> {
    const reused = connection.used;
    connection.busy = true;
    const { observation, unanswered } = await send(connection);
    connection.busy = false;
    // RFC 9112 §9.3.1: a reused connection may close just as the request is sent, which says nothing about the instance.
    return unanswered && reused && mayRetry && !closed ? attempt(main, false) : observation;
  }

  function send(
    connection: ProbeConnection,
  ): Promise<{ observation: ProbeObservation; unanswered: boolean }> {
    return new Promise((resolve) => {
      const startedAt = clock();
      const fresh = !connection.used;
      let firstByteMs: number | undefined;
      let body = '';
      const text = readsBody ? new TextDecoder() : null;
      let received = 0;
      let statusError: string | null = null;
      let settled = false;
      let controller: Dispatcher.DispatchController | undefined;

      const finish = (error: string | null, unanswered = false) => {
        if (settled) return;
        settled = true;
        clearTimeout(timer);
        const timing = {
          ...(fresh && connection.connectMs !== undefined ? { connectMs: connection.connectMs } : {}),
          ...(fresh && connection.tlsMs !== undefined ? { tlsMs: connection.tlsMs } : {}),
          ...(firstByteMs === undefined ? {} : { firstByteMs }),
        };
        const observation = { ok: error === null, latencyMs: clock() - startedAt, timing };
        resolve({ observation: error === null ? observation : { ...observation, error }, unanswered });
      };
      const bodyError = () => statusError ?? (text ? checkBody(check.expect, body) : null);
      const giveUp = () => {
        if (settled) return;
        finish(`no response from ${host} within ${check.timeout} ms`);
        connection.expectClose = true;
        if (controller) return controller.abort(new Error('probe timed out'));
        // Still connecting: there is no request to abort, so the connection is destroyed.
        connection.destroy();
        if (connection === main && !closed) main = open();
      };
      // After a stall of this process the response may be in the socket, so pending data is read first.
      const timer = setTimeout(setImmediate, check.timeout, giveUp);

      connection.client.dispatch(request, {
        onRequestStart(started) {
          controller = started;
        },
        onResponseStart(_, status, responseHeaders) {
          firstByteMs = clock() - startedAt;
          connection.used = true;
          statusError = checkStatus(check.expect, status);
          if (String(responseHeaders.connection).toLowerCase() === 'close') connection.expectClose = true;
        },
        onResponseData(running, chunk) {
          if (text) body += text.decode(chunk, { stream: true });
          received += chunk.length;
          if (received <= MAX_BODY_BYTES) return;
          // The first part of a large body decides.
          finish(bodyError());
          connection.expectClose = true;
          running.abort(new Error('read enough'));
        },
        onResponseEnd() {
          finish(bodyError());
        },
        onResponseError(_, error) {
          const code = errorCode(error);
          finish(
            probeError(error, host),
            firstByteMs === undefined && code !== undefined && CLOSED_CODES.has(code),
          );
        },
      });
    });
  }

  return {
    run,
    close() {
      closed = true;
      for (const connection of [main, ...spare]) connection.destroy();
    },
  };
}

import type { Dispatcher } from 'undici';
import { createConnectionFactory, type ProbeConnection } from './connection.ts';
import { errorCode, probeError } from './errors.ts';
import { checkBody, checkStatus, needsBody } from './expectation.ts';
import type { Probe, ProbeObservation, ProbeTarget } from './target.ts';

/** Of an answer's body this much is read; a health page is small, and a probe must never fill memory. */
const MAX_BODY_BYTES = 64 * 1024;
/**
 * A connection is used no longer than this: it shows only the process it leads to, which may serve old connections and
 * take no new ones, or stand at an address that the name has left.
 */
const MAX_CONNECTION_AGE_MS = 60_000;
/** What these errors break before the first byte of an answer may be the age of a reused connection. */
const CLOSED_CODES = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE']);

/**
 * HTTP and HTTPS probes over one kept-alive connection. When the instance ends that connection between two probes,
 * `onClosed` is called: a hint that something happened, no proof. Redirects are answers, not followed.
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
    // The previous probe still waits for its answer: this one takes a connection of its own, to keep the interval.
    const extra = open();
    spare.add(extra);
    const observation = await attempt(extra, false);
    spare.delete(extra);
    extra.destroy();
    return observation;
  }

  async function attempt(connection: ProbeConnection, mayRepeat: boolean): Promise<ProbeObservation> {
    const reused = connection.used;
    connection.busy = true;
    const { observation, unanswered } = await ask(connection);
    connection.busy = false;
    // RFC 9112 §9.3.1: a reused connection may end just as we write; that says nothing about the instance.
    return unanswered && reused && mayRepeat && !closed ? attempt(main, false) : observation;
  }

  function ask(connection: ProbeConnection): Promise<{ observation: ProbeObservation; unanswered: boolean }> {
    return new Promise((resolve) => {
      const began = clock();
      const fresh = !connection.used;
      let firstByteMs: number | undefined;
      let body = '';
      const text = readsBody ? new TextDecoder() : null;
      let received = 0;
      let wrong: string | null = null;
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
        const observation = { ok: error === null, latencyMs: clock() - began, timing };
        resolve({ observation: error === null ? observation : { ...observation, error }, unanswered });
      };
      const judge = () => wrong ?? (text ? checkBody(check.expect, body) : null);
      const giveUp = () => {
        if (settled) return;
        finish(`no answer from ${host} within ${check.timeout} ms`);
        connection.expectClose = true;
        if (controller) return controller.abort(new Error('probe timed out'));
        // Still connecting: nothing to abort, so the connection as a whole is given up.
        connection.destroy();
        if (connection === main && !closed) main = open();
      };
      // When this process was held up, the answer may lie in the socket: what has arrived is read first.
      const timer = setTimeout(setImmediate, check.timeout, giveUp);

      connection.client.dispatch(request, {
        onRequestStart(started) {
          controller = started;
        },
        onResponseStart(_, status, answer) {
          firstByteMs = clock() - began;
          connection.used = true;
          wrong = checkStatus(check.expect, status);
          if (String(answer.connection).toLowerCase() === 'close') connection.expectClose = true;
        },
        onResponseData(running, chunk) {
          if (text) body += text.decode(chunk, { stream: true });
          received += chunk.length;
          if (received <= MAX_BODY_BYTES) return;
          // Enough has been read to judge; the rest of a large page is not waited for.
          finish(judge());
          connection.expectClose = true;
          running.abort(new Error('read enough'));
        },
        onResponseEnd() {
          finish(judge());
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

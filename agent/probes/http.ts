import { createConnectionFactory, type ProbeConnection } from './connection.ts';
import { sendProbe } from './http-exchange.ts';
import type { Probe, ProbeObservation, ProbeTarget } from './target.ts';

/**
 * A connection is replaced after this time. An old connection would not notice that the instance accepts no new ones, or
 * that the host name resolves to another address.
 */
const MAX_CONNECTION_AGE_MS = 60_000;

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
  const { host } = new URL(target.url);
  const headers = { 'user-agent': 'acgs-lb-agent', accept: '*/*', ...check.headers };
  const request = { path: check.path, method: check.method, headers };
  const open = createConnectionFactory(target, onClosed, clock);
  const extraConnections = new Set<ProbeConnection>();
  let main = open();
  let closed = false;

  async function run(): Promise<ProbeObservation> {
    if (!main.busy) {
      if (main.used && clock() - main.startedAt > MAX_CONNECTION_AGE_MS) replaceMain();
      return attempt(main, true);
    }
    // The previous probe still waits for its response, so this one uses an extra connection to keep the interval.
    const extra = open();
    extraConnections.add(extra);
    const observation = await attempt(extra, false);
    extraConnections.delete(extra);
    extra.destroy();
    return observation;
  }

  async function attempt(connection: ProbeConnection, mayRetry: boolean): Promise<ProbeObservation> {
    const reused = connection.used;
    connection.busy = true;
    const { observation, unanswered } = await sendProbe(request, {
      connection,
      check,
      host,
      clock,
      onConnectTimeout() {
        // There is no request to abort yet, so the connection is destroyed.
        if (connection === main && !closed) replaceMain();
        else connection.destroy();
      },
    });
    connection.busy = false;
    // RFC 9112 §9.3.1: a reused connection may close just as the request is sent, which says nothing about the instance.
    return unanswered && reused && mayRetry && !closed ? attempt(main, false) : observation;
  }

  function replaceMain(): void {
    main.destroy();
    main = open();
  }

  return {
    run,
    close() {
      closed = true;
      for (const connection of [main, ...extraConnections]) connection.destroy();
    },
  };
}

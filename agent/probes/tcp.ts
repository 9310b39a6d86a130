import net from 'node:net';
import { probeError } from './errors.ts';
import { guardedLookup } from './guarded-lookup.ts';
import type { Probe, ProbeObservation, ProbeTarget } from './target.ts';

/** A TCP probe passes if the instance accepts a connection within the timeout. It sends nothing. */
export function createTcpProbe(target: ProbeTarget, clock = () => performance.now()): Probe {
  const url = new URL(target.url);
  const port = Number(url.port) || (url.protocol === 'https:' ? 443 : 80);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const lookup = target.allowNetworks ? { lookup: guardedLookup(target.allowNetworks) } : {};
  const sockets = new Set<net.Socket>();

  function run(): Promise<ProbeObservation> {
    return new Promise((resolve) => {
      const startedAt = clock();
      const socket = net.connect({ host, port, ...lookup });
      sockets.add(socket);
      const finish = (error?: string) => {
        clearTimeout(timer);
        const latencyMs = clock() - startedAt;
        sockets.delete(socket);
        socket.destroy();
        resolve(
          error ? { ok: false, latencyMs, error } : { ok: true, latencyMs, timing: { connectMs: latencyMs } },
        );
      };
      const timeOut = () => finish(`no connection to ${url.host} within ${target.check.timeout} ms`);
      // After a stall of this process the connection may be open, so pending events are handled first.
      const timer = setTimeout(setImmediate, target.check.timeout, timeOut);
      socket.once('connect', () => finish());
      socket.once('error', (error) => finish(probeError(error, url.host)));
    });
  }

  return {
    run,
    close() {
      for (const socket of sockets) socket.destroy();
    },
  };
}

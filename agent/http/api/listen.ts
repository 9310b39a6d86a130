import { createServer, type Server } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import { listenError } from '../../lib/listen-error.ts';

export interface HttpServerHandle {
  /** Stops accepting, gives running requests a second, then closes every connection; event streams never end alone. */
  close(): Promise<void>;
}

const GRACE_MS = 1_000;

/** Idle and slow clients must not use up the descriptors that the probes need. */
export interface ListenLimits {
  maxConnections: number;
  /** From the start of a request to the end of its header fields. */
  headersTimeout: number;
  /** From the start of a request to the end of its body. Answers, such as event streams, have no limit. */
  requestTimeout: number;
  /** How often the times are checked. */
  connectionsCheckingInterval: number;
}

const LIMITS: ListenLimits = {
  maxConnections: 1_000,
  headersTimeout: 10_000,
  requestTimeout: 60_000,
  connectionsCheckingInterval: 5_000,
};

/** Listens on `host:port`. Rejects with a readable error when the address is in use or not local. */
export function listen(
  fetch: (request: Request) => Response | Promise<Response>,
  bind: string,
  { maxConnections, ...timeouts }: ListenLimits = LIMITS,
): Promise<HttpServerHandle> {
  const colon = bind.lastIndexOf(':');
  const host = bind.slice(0, colon).replace(/^\[|\]$/g, '');
  const port = Number(bind.slice(colon + 1));
  const server: Server = createServer(timeouts, getRequestListener(fetch));
  server.maxConnections = maxConnections;
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(listenError('agent.bind', bind, error)));
    server.listen({ port, ...(host === '' || host === '*' ? {} : { host }) }, () =>
      resolve({ close: () => stop(server) }),
    );
  });
}

function stop(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.closeAllConnections(), GRACE_MS);
    server.close(() => {
      clearTimeout(timer);
      resolve();
    });
    server.closeIdleConnections();
  });
}

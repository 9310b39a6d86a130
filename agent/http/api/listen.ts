import { createServer, type Server } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import { listenError } from '../../lib/listen-error.ts';

export interface HttpServerHandle {
  /** Stops accepting, gives running requests a second, then closes every connection; event streams never end alone. */
  close(): Promise<void>;
}

const GRACE_MS = 1_000;

/** Listens on `host:port`. Rejects with a readable error when the address is in use or not local. */
export function listen(
  fetch: (request: Request) => Response | Promise<Response>,
  bind: string,
): Promise<HttpServerHandle> {
  const colon = bind.lastIndexOf(':');
  const host = bind.slice(0, colon).replace(/^\[|\]$/g, '');
  const port = Number(bind.slice(colon + 1));
  const server: Server = createServer(getRequestListener(fetch));
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

import type { RequestListener, Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { RunningApplication } from './application.ts';

/** Runs a Node application on a free port. */
export async function listen(target: Server | RequestListener): Promise<RunningApplication> {
  const server = typeof target === 'function' ? createServer(target) : target;
  // Uploads of these tests take long on purpose.
  server.requestTimeout = 0;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async stop() {
      server.closeAllConnections();
      server.close();
    },
  };
}

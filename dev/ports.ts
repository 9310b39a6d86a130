import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** The port is in use. The message names the port and the server that needs it. */
export class PortTakenError extends Error {
  override name = 'PortTakenError';
  readonly port: number;
  readonly usedBy: string;

  constructor(port: number, usedBy: string) {
    super(`port ${port} for ${usedBy} is already in use`);
    this.port = port;
    this.usedBy = usedBy;
  }
}

/** True when nothing listens on the port. */
export function isPortFree(port: number, host = '127.0.0.1'): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.unref();
    server.once('error', () => resolve(false));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

const reserved = new Set<number>();

const FIRST_PORT = 11_000;
const PORTS_PER_WORKER = 6_500;
/**
 * Two test files run at the same time. Each uses its own range, because a port can look free while a server of the other
 * file is restarting or has not started yet.
 */
export const testWorker = Number(process.env.VITEST_POOL_ID ?? 0) % 2;

/**
 * Returns a free port, never the same twice in one process. The range is below the ports of outgoing connections, so no
 * client connection can take the port before the server listens.
 */
export async function freePort(host = '127.0.0.1'): Promise<number> {
  const first = FIRST_PORT + testWorker * PORTS_PER_WORKER;
  for (let attempt = 0; attempt < 200; attempt++) {
    const port = first + randomInt(PORTS_PER_WORKER);
    if (reserved.has(port)) continue;
    // Reserve before the check, so that a concurrent call does not get the same port.
    reserved.add(port);
    if (await isPortFree(port, host)) return port;
  }
  throw new Error(`no free port found from ${first} to ${first + PORTS_PER_WORKER - 1}`);
}

export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) ports.push(await freePort());
  return ports;
}

/** Throws PortTakenError unless the port is free. */
export async function requireFreePort(port: number, usedBy: string, host = '127.0.0.1'): Promise<void> {
  if (!(await isPortFree(port, host))) throw new PortTakenError(port, usedBy);
}

import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** A port that something already listens on. The message names the port and what wanted it. */
export class PortTakenError extends Error {
  override name = 'PortTakenError';
  readonly port: number;
  readonly usedBy: string;

  constructor(port: number, wantedBy: string) {
    super(`port ${port}, wanted by ${wantedBy}, is already taken`);
    this.port = port;
    this.usedBy = wantedBy;
  }
}

/** True when nothing listens on the port now. */
export function isPortFree(port: number, host = '127.0.0.1'): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.unref();
    server.once('error', () => resolve(false));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

const given = new Set<number>();

const FIRST = 11_000;
const SHARE = 6_500;
/**
 * Two test files run at a time. Each draws from ports of its own: one that is free because the other's server was killed
 * for a moment, or has yet to start, is not free at all.
 */
export const testWorker = Number(process.env.VITEST_POOL_ID ?? 0) % 2;

/**
 * A port nobody listens on, never the same twice in one process. Taken below the range from which the system gives
 * ports to outgoing connections, so that no client of a busy test can sit on it before its server does.
 */
export async function freePort(host = '127.0.0.1'): Promise<number> {
  const first = FIRST + testWorker * SHARE;
  for (let attempt = 0; attempt < 200; attempt++) {
    const port = first + randomInt(SHARE);
    if (given.has(port)) continue;
    // Before it is looked at: another that asks meanwhile must not be given it too.
    given.add(port);
    if (await isPortFree(port, host)) return port;
  }
  throw new Error(`no free port found from ${first} to ${first + SHARE - 1}`);
}

export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) ports.push(await freePort());
  return ports;
}

/** Throws PortTakenError unless the port is free. */
export async function requireFreePort(port: number, wantedBy: string, host = '127.0.0.1'): Promise<void> {
  if (!(await isPortFree(port, host))) throw new PortTakenError(port, wantedBy);
}

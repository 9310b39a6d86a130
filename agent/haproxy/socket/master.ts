import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { errorMessage } from '../../../shared/error-message.ts';
import { socketAddress } from './address.ts';

/**
 * Asks HAProxy's master process to start new workers; the old workers finish their connections. HAProxy 2.6 closes the
 * connection without a result, because the master re-executes itself: poll the admin socket for the new worker. While
 * the master restarts it refuses connections, so the request is retried for `startingMs`. Rejects when no master
 * accepts the request.
 */
export async function requestReload(
  masterSocket: string,
  { timeoutMs = 5_000, startingMs = 3_000 } = {},
): Promise<void> {
  const deadline = performance.now() + startingMs;
  for (;;) {
    try {
      return await sendReload(masterSocket, timeoutMs);
    } catch (error) {
      if (errorCode(error) !== 'ECONNREFUSED' || performance.now() > deadline) {
        throw new Error(`HAProxy's master socket ${masterSocket}: ${errorMessage(error)}`, { cause: error });
      }
      await sleep(50);
    }
  }
}

const errorCode = (error: unknown): unknown =>
  error instanceof Error && 'code' in error ? error.code : undefined;

function sendReload(masterSocket: string, timeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketAddress(masterSocket));
    const onTimeout = () => {
      reject(new Error(`no response within ${timeoutMs} ms`));
      socket.destroy();
    };
    // If this process was blocked, the master may already have closed the connection: handle the close event first.
    socket.setTimeout(timeoutMs, () => setImmediate(onTimeout));
    let sent = false;
    socket.on('connect', () => {
      sent = true;
      socket.write('reload\n');
    });
    // A reset after the request means that the master is already restarting.
    socket.on('error', (error) => (sent ? resolve() : reject(error)));
    socket.on('close', () => resolve());
    socket.resume();
  });
}

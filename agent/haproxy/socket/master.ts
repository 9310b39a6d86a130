import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { socketAddress } from '../render/quoting.ts';

/**
 * Asks HAProxy's master for new workers; the old ones finish what they have. The master starts itself anew, so it
 * closes the connection and says nothing of the outcome (2.6): a look at the admin socket must tell. While it starts it
 * refuses connections, though the new worker of the last reload may answer already: it is asked again. Rejects when there
 * is no master to ask.
 */
export async function requestReload(
  masterSocket: string,
  { timeoutMs = 5_000, startingMs = 3_000 } = {},
): Promise<void> {
  const deadline = performance.now() + startingMs;
  for (;;) {
    try {
      return await askOnce(masterSocket, timeoutMs);
    } catch (error) {
      if (errorCode(error) !== 'ECONNREFUSED' || performance.now() > deadline) {
        const why = error instanceof Error ? error.message : String(error);
        throw new Error(`HAProxy's master socket ${masterSocket}: ${why}`, { cause: error });
      }
      await sleep(50);
    }
  }
}

const errorCode = (error: unknown): unknown =>
  error instanceof Error && 'code' in error ? error.code : undefined;

function askOnce(masterSocket: string, timeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketAddress(masterSocket));
    const giveUp = () => {
      reject(new Error(`no answer within ${timeoutMs} ms`));
      socket.destroy();
    };
    // When this process was held up, the master may have closed the connection by now: that is seen first.
    socket.setTimeout(timeoutMs, () => setImmediate(giveUp));
    let asked = false;
    socket.on('connect', () => {
      asked = true;
      socket.write('reload\n');
    });
    // Reset instead of closed: it is already starting anew.
    socket.on('error', (error) => (asked ? resolve() : reject(error)));
    socket.on('close', () => resolve());
    socket.resume();
  });
}

/** Polls until `done` says so; false when it did not within `timeoutMs`. */
export async function waitUntil(done: () => Promise<boolean>, timeoutMs: number): Promise<boolean> {
  const deadline = Date.now() + timeoutMs;
  while (Date.now() < deadline) {
    if (await done()) return true;
    await sleep(50);
  }
  return false;
}

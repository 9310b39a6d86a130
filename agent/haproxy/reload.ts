import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { socketAddress } from './text.ts';

/**
 * Asks HAProxy's master for new workers; the old ones finish what they have. The master starts itself anew, so it
 * closes the connection and says nothing of the outcome (2.6): a look at the admin socket must tell. Rejects when
 * there is no master to ask.
 */
export function askForReload(masterSocket: string, timeoutMs = 5_000): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketAddress(masterSocket));
    const fail = (why: string) => reject(new Error(`HAProxy's master socket ${masterSocket}: ${why}`));
    socket.setTimeout(timeoutMs, () => {
      socket.destroy();
      fail(`no answer within ${timeoutMs} ms`);
    });
    let asked = false;
    socket.on('connect', () => {
      asked = true;
      socket.write('reload\n');
    });
    // Reset instead of closed: it is already starting anew.
    socket.on('error', (error) => (asked ? resolve() : fail(error.message)));
    socket.on('close', () => resolve());
    socket.resume();
  });
}

/** Polls until `done` says so; false when it did not within `timeoutMs`. */
export async function until(done: () => Promise<boolean>, timeoutMs: number): Promise<boolean> {
  const deadline = Date.now() + timeoutMs;
  while (Date.now() < deadline) {
    if (await done()) return true;
    await sleep(50);
  }
  return false;
}

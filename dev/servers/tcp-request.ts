import { connect, type NetConnectOpts } from 'node:net';

/**
 * Connects, sends one text, and returns what comes back until the other side closes or `enough` holds.
 * Rejects on a refused connection and after `timeoutMs`.
 */
export function tcpRequest(
  target: NetConnectOpts,
  text: string,
  { timeoutMs = 1_000, enough }: { timeoutMs?: number; enough?: (answer: string) => boolean } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ...target, timeout: timeoutMs });
    let answer = '';
    socket.setEncoding('utf8');
    socket.once('connect', () => socket.write(text));
    socket.on('data', (chunk: string) => {
      answer += chunk;
      if (enough?.(answer)) socket.destroy();
    });
    socket.once('timeout', () => socket.destroy(new Error(`no answer within ${timeoutMs} ms`)));
    socket.once('error', reject);
    socket.once('close', () => resolve(answer));
  });
}

import { connect, type NetConnectOpts } from 'node:net';

/**
 * Connects, sends a text, and returns the response up to the end of the connection or until `isComplete` is true.
 * Rejects on a connection error and after `timeoutMs` without data.
 */
export function tcpRequest(
  target: NetConnectOpts,
  text: string,
  { timeoutMs = 1_000, isComplete }: { timeoutMs?: number; isComplete?: (answer: string) => boolean } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ...target, timeout: timeoutMs });
    let answer = '';
    socket.setEncoding('utf8');
    socket.once('connect', () => socket.write(text));
    socket.on('data', (chunk: string) => {
      answer += chunk;
      if (isComplete?.(answer)) socket.destroy();
    });
    socket.once('timeout', () => socket.destroy(new Error(`no answer within ${timeoutMs} ms`)));
    socket.once('error', reject);
    socket.once('close', () => resolve(answer));
  });
}

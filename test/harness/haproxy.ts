import { haproxyCommand as sendOnce } from '../../dev/servers/haproxy.ts';
import { until } from './until.ts';

/**
 * Sends a command to HAProxy's admin socket and repeats it until it gets a complete response. The command must be
 * idempotent.
 */
export async function haproxyCommand(socket: string, command: string): Promise<string> {
  const answer = await until(async () => {
    const text = await sendOnce(socket, command);
    return (text === '\n' || text.endsWith('\n\n')) && { text };
  });
  if (!answer) throw new Error(`HAProxy at ${socket} does not respond to "${command}"`);
  return answer.text.trim();
}

import { haproxyCommand as sendOnce } from '../../dev/servers/haproxy.ts';
import { until } from './until.ts';

/**
 * One command to HAProxy's admin socket, given again where it was held up, reloads, or cut its answer short: only for
 * commands that may be given twice.
 */
export async function haproxyCommand(socket: string, command: string): Promise<string> {
  const answer = await until(async () => {
    const text = await sendOnce(socket, command);
    return (text === '\n' || text.endsWith('\n\n')) && { text };
  });
  if (!answer) throw new Error(`HAProxy at ${socket} does not answer "${command}"`);
  return answer.text.trim();
}

import { createServer, type Server, type Socket } from 'node:net';
import { listenError } from '../../lib/listen-error.ts';
import { connectAddress } from '../render/quoting.ts';

export interface AgentCheckServer {
  close(): Promise<void>;
}

/** What HAProxy is told of a server; null: nothing, so that it leaves things as they are. */
export type AgentCheckLookup = (server: string) => { verdict: 'up' | 'down'; reason: string } | null;

/** Names are `service/instance` and a line feed; nobody else needs more. */
const MAX_REQUEST = 256;
const PATIENCE_MS = 2_000;
const MAX_CONNECTIONS = 2_000;

/**
 * Answers HAProxy's agent-checks from the desired state: it confirms what the socket was told, and tells a HAProxy that
 * was restarted while the socket was not to be had. Rejects when the address cannot be listened on.
 */
export async function startAgentCheckServer(
  bind: string,
  answer: AgentCheckLookup,
): Promise<AgentCheckServer> {
  const open = new Set<Socket>();
  const server: Server = createServer((socket) => {
    open.add(socket);
    socket.setTimeout(PATIENCE_MS, () => socket.destroy());
    socket.on('error', () => socket.destroy());
    socket.on('close', () => open.delete(socket));
    let request = '';
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => {
      request += text;
      const end = request.indexOf('\n');
      if (end < 0 && request.length <= MAX_REQUEST) return;
      socket.end(end < 0 ? '' : formatAgentReply(answer(request.slice(0, end).trim())));
    });
  });
  server.maxConnections = MAX_CONNECTIONS;
  const { port } = connectAddress(bind);
  const host = listenHost(bind);
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(listenError('haproxy.agentCheck', bind, error)),
    );
    server.listen({ port, ...(host && { host }) }, resolve);
  });
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of open) socket.destroy();
      }),
  };
}

/** Undefined: every address, of both families. */
function listenHost(bind: string): string | undefined {
  const host = bind.slice(0, bind.lastIndexOf(':')).replace(/^\[|\]$/g, '');
  return host === '' || host === '*' ? undefined : host;
}

/** `down#reason` without a space is refused by HAProxy and leaves the server up. */
export function formatAgentReply(answer: ReturnType<AgentCheckLookup>): string {
  if (!answer) return '';
  if (answer.verdict === 'up') return 'up\n';
  const reason = answer.reason.replaceAll(/[^\x21-\x7e]+/g, ' ').slice(0, 100);
  return `down #${reason}\n`;
}

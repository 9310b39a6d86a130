import { createServer, type Server, type Socket } from 'node:net';
import { listenError } from '../../lib/listen-error.ts';
import { connectAddress } from './address.ts';

export interface AgentCheckServer {
  close(): Promise<void>;
}

/** The verdict of `service/instance`; null sends no verdict, and HAProxy keeps the server's state. */
export type AgentCheckLookup = (server: string) => { verdict: 'up' | 'down'; reason: string } | null;

/** A request is `service/instance` and a line feed. */
const MAX_REQUEST_CHARS = 256;
const IDLE_TIMEOUT_MS = 2_000;
const MAX_CONNECTIONS = 2_000;

/**
 * Answers HAProxy's agent-checks from the desired state. The answers repeat what the admin socket already set; they
 * also correct a HAProxy that restarted while its socket was unreachable. Rejects when the address is not available.
 */
export async function startAgentCheckServer(
  bind: string,
  lookup: AgentCheckLookup,
): Promise<AgentCheckServer> {
  const open = new Set<Socket>();
  const server: Server = createServer((socket) => {
    open.add(socket);
    socket.setTimeout(IDLE_TIMEOUT_MS, () => socket.destroy());
    socket.on('error', () => socket.destroy());
    socket.on('close', () => open.delete(socket));
    let request = '';
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => {
      request += text;
      const end = request.indexOf('\n');
      if (end < 0 && request.length <= MAX_REQUEST_CHARS) return;
      socket.end(end < 0 ? '' : formatAgentReply(lookup(request.slice(0, end).trim())));
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

/** Undefined listens on every address, IPv4 and IPv6. */
function listenHost(bind: string): string | undefined {
  const host = bind.slice(0, bind.lastIndexOf(':')).replace(/^\[|\]$/g, '');
  return host === '' || host === '*' ? undefined : host;
}

/** HAProxy rejects `down#reason` without the space and leaves the server up. */
export function formatAgentReply(answer: ReturnType<AgentCheckLookup>): string {
  if (!answer) return '';
  if (answer.verdict === 'up') return 'up\n';
  const reason = answer.reason.replaceAll(/[^\x21-\x7e]+/g, ' ').slice(0, 100);
  return `down #${reason}\n`;
}

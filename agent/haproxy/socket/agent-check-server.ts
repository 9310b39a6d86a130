import { createServer, type Server, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { listenError } from '../../lib/listen-error.ts';
import { connectAddress } from './address.ts';

export interface AgentCheckServer {
  close(): Promise<void>;
}

/** The verdict of `service/instance`; null sends no verdict, and HAProxy keeps the server's state. */
export type AgentCheckLookup = (server: string) => { verdict: 'up' | 'down'; reason: string } | null;

/** A request is `service/instance` and a line feed. */
const MAX_REQUEST_CHARS = 256;

export interface AgentCheckLimits {
  /** Time for the whole exchange, from the connection to its end, however often bytes arrive. */
  deadlineMs: number;
  /** Connections at once from HAProxy's addresses, and from all others together. */
  haproxyConnections: number;
  otherConnections: number;
}

const LIMITS: AgentCheckLimits = { deadlineMs: 2_000, haproxyConnections: 1_500, otherConnections: 500 };

export interface AgentCheckOptions {
  bind: string;
  lookup: AgentCheckLookup;
  /** Whether a HAProxy may connect from this address. Its connections are counted apart from all others. */
  isHaproxy(address: string): boolean;
  limits?: AgentCheckLimits;
}

/**
 * Answers HAProxy's agent-checks from the desired state. The answers repeat what the admin socket already set; they
 * also correct a HAProxy that restarted while its socket was unreachable. Rejects when the address is not available.
 */
export async function startAgentCheckServer({
  bind,
  lookup,
  isHaproxy,
  limits = LIMITS,
}: AgentCheckOptions): Promise<AgentCheckServer> {
  const fromHaproxy = new ConnectionPool(limits.haproxyConnections);
  const fromOthers = new ConnectionPool(limits.otherConnections);
  const server: Server = createServer((socket) => {
    (isHaproxy(plainAddress(socket.remoteAddress)) ? fromHaproxy : fromOthers).add(socket);
    const deadline = setTimeout(() => socket.destroy(), limits.deadlineMs);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => clearTimeout(deadline));
    answer(socket, lookup);
  });
  const { port } = connectAddress(bind);
  const host = listenHost(bind);
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(listenError('haproxy.agentCheck', bind, error)),
    );
    server.listen({ port, ...(host && { host }) }, resolve);
  });
  // An error while accepting, such as too few file descriptors, ends no connection.
  server.on('error', () => undefined);
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        fromHaproxy.destroyAll();
        fromOthers.destroyAll();
      }),
  };
}

function answer(socket: Socket, lookup: AgentCheckLookup): void {
  let request = '';
  let answered = false;
  socket.setEncoding('utf8');
  socket.on('data', (text: string) => {
    if (answered) return;
    request += text;
    const end = request.indexOf('\n');
    if (end < 0 && request.length <= MAX_REQUEST_CHARS) return;
    answered = true;
    socket.end(end < 0 ? '' : formatAgentReply(lookup(request.slice(0, end).trim())));
  });
}

/**
 * Open connections of one kind. A new one is always accepted: when the pool is full, the oldest ends. An exchange with
 * HAProxy takes milliseconds, so the oldest connection is idle.
 */
class ConnectionPool {
  readonly #max: number;
  /** In the order of their arrival. */
  readonly #open = new Set<Socket>();

  constructor(max: number) {
    this.#max = max;
  }

  add(socket: Socket): void {
    const oldest = this.#open.values().next().value;
    if (oldest && this.#open.size >= this.#max) {
      this.#open.delete(oldest);
      oldest.destroy();
    }
    this.#open.add(socket);
    socket.on('close', () => this.#open.delete(socket));
  }

  destroyAll(): void {
    for (const socket of this.#open) socket.destroy();
  }
}

/** IPv4 clients of a listener for IPv6 have the form `::ffff:192.0.2.1`. */
const plainAddress = (address = ''): string => address.replace(/^::ffff:/, '');

/** A HAProxy connects from loopback, from an address of this host, or from that of its admin socket in `others`. */
export function haproxyAddressCheck(otherSockets: readonly string[]): (address: string) => boolean {
  const others = otherSockets
    .filter((socket) => !socket.startsWith('/'))
    .map((socket) => connectAddress(socket).host);
  const own = Object.values(networkInterfaces()).flatMap((list) => list?.map(({ address }) => address) ?? []);
  const known = new Set([...own, ...others]);
  return (address) => address.startsWith('127.') || address === '::1' || known.has(address);
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

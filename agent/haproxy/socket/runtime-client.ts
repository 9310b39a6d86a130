import { connect, type Socket } from 'node:net';
import { socketAddress } from './address.ts';

/** HAProxy does not answer: it is not running, it closed the connection, or it timed out. */
export class HaproxyUnreachable extends Error {
  override name = 'HaproxyUnreachable';
}

export interface RuntimeClient {
  /** The response to one command without its prompt; '' means success. Rejects with HaproxyUnreachable. */
  execute(command: string): Promise<string>;
  /** Closes the connection. The next command opens a new one, which the newest worker accepts. */
  disconnect(): void;
  close(): void;
}

export interface RuntimeClientOptions {
  /** Path of the admin socket, or host:port. */
  socket: string;
  timeoutMs?: number;
  /** Commands that may wait for their response; further commands are rejected. */
  maxPending?: number;
}

interface Pending {
  resolve(response: string): void;
  reject(error: Error): void;
}

const PROMPT = '\n> ';

/**
 * A client of HAProxy's Runtime API over one connection in interactive mode. HAProxy answers commands in order and ends
 * every response with a prompt. A timeout closes the connection and rejects every waiting command; the next command
 * reconnects.
 */
export function createRuntimeClient(options: RuntimeClientOptions): RuntimeClient {
  const { socket: address, timeoutMs = 3_000, maxPending = 10_000 } = options;
  let connection: Socket | null = null;
  let pending: Pending[] = [];
  let received = '';
  let closed = false;

  const unreachable = (why: string) => new HaproxyUnreachable(`HAProxy socket ${address}: ${why}`);

  function fail(why: string): void {
    const waiting = pending;
    const old = connection;
    connection = null;
    pending = [];
    received = '';
    old?.destroy();
    for (const { reject } of waiting) reject(unreachable(why));
  }

  function open(): Socket {
    const socket = connect(socketAddress(address));
    socket.setEncoding('utf8');
    socket.setTimeout(timeoutMs);
    const current = () => socket === connection;
    socket.on('timeout', () => {
      if (pending.length === 0) return;
      const before = socket.bytesRead;
      // If this process was blocked, the response may already be in the socket: read it before giving up.
      setImmediate(() => {
        const silent = current() && socket.bytesRead === before;
        if (silent && pending.length > 0) fail(`no response within ${timeoutMs} ms`);
      });
    });
    socket.on('error', (error) => current() && fail(error.message));
    socket.on('close', () => current() && fail('closed by HAProxy'));
    socket.on('data', (text: string) => current() && receive(text));
    connection = socket;
    // The first prompt is the response to this command.
    pending.push({ resolve: () => undefined, reject: () => undefined });
    socket.write('prompt\n');
    return socket;
  }

  function receive(text: string): void {
    // Search only from just before the new text: a response of megabytes arrives in many chunks.
    let from = Math.max(0, received.length - PROMPT.length);
    received += text;
    for (let end = received.indexOf(PROMPT, from); end >= 0; end = received.indexOf(PROMPT, from)) {
      const response = received.slice(0, end);
      received = received.slice(end + PROMPT.length);
      from = 0;
      pending.shift()?.resolve(response.trim());
    }
  }

  return {
    execute(command) {
      if (closed) return Promise.reject(new HaproxyUnreachable('the HAProxy client is closed'));
      if (pending.length >= maxPending) {
        return Promise.reject(unreachable(`${maxPending} commands are already waiting`));
      }
      return new Promise((resolve, reject) => {
        const socket = connection ?? open();
        pending.push({ resolve, reject });
        // A line break would start a second command.
        socket.write(`${command.replaceAll(/[\r\n]+/g, ' ')}\n`);
      });
    },
    disconnect: () => fail('disconnected'),
    close() {
      closed = true;
      fail('closed');
    },
  };
}

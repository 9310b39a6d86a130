import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { freePort } from '../../dev/ports.ts';

/** A TCP server that passes the bytes of each connection to the test. */
export interface RawOrigin {
  url: string;
  /** The received request heads as text, in order. */
  heads: string[];
  /** The handler is called with every request head and writes the response. */
  onRequest(handler: (socket: Socket, head: string, rest: Buffer) => void): void;
  /** The number of closed connections. */
  closed: number;
  stop(): Promise<void>;
}

export async function startRawOrigin(): Promise<RawOrigin> {
  let handler: (socket: Socket, head: string, rest: Buffer) => void = () => {};
  const sockets = new Set<Socket>();
  const origin: RawOrigin = {
    url: '',
    heads: [],
    closed: 0,
    onRequest: (next) => {
      handler = next;
    },
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => {
      sockets.delete(socket);
      origin.closed++;
    });
    let buffered = Buffer.alloc(0);
    /** Bytes of the current body that have not arrived; another request may follow them. */
    let bodyLeft = 0;
    socket.on('data', (chunk: Buffer) => {
      const ofBody = Math.min(bodyLeft, chunk.length);
      bodyLeft -= ofBody;
      buffered = Buffer.concat([buffered, chunk.subarray(ofBody)]);
      const end = buffered.indexOf('\r\n\r\n');
      if (end < 0) return;
      const head = buffered.subarray(0, end).toString('latin1');
      const rest = buffered.subarray(end + 4);
      buffered = Buffer.alloc(0);
      origin.heads.push(head);
      const isEndless = /\r\n(upgrade|transfer-encoding):/i.test(head);
      const length = Number(headerValues(head, 'content-length')[0] ?? 0);
      bodyLeft = isEndless ? Number.POSITIVE_INFINITY : Math.max(0, length - rest.length);
      handler(socket, head, rest);
    });
  });
  const port = await freePort();
  await once(server.listen(port, '127.0.0.1'), 'listening');
  origin.url = `http://127.0.0.1:${port}`;
  return origin;
}

const IDLE_TIMEOUT_MS = 60_000;

/** Sends bytes and returns everything received until the other side closes or `until` matches. */
export function rawExchange(url: string, bytes: string, until?: RegExp): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(bytes, 'latin1'));
    let text = '';
    socket.setTimeout(IDLE_TIMEOUT_MS, () => socket.destroy(new Error(`no more data after: ${text}`)));
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (until?.test(text)) socket.end();
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(text));
  });
}

/** Sends bytes and returns what arrives until the other side closes or sends nothing for a while. */
export function exchangeUntilQuiet(url: string, bytes: string, quietMs = 150): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname, () => socket.write(bytes, 'latin1'));
    let text = '';
    socket.setTimeout(quietMs, () => socket.destroy());
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
    });
    // A refusal may reset the connection while bytes are on the way.
    socket.on('error', () => {});
    socket.on('close', () => resolve(text));
  });
}

/** The values of a header in a raw head, in order. */
export function headerValues(head: string, name: string): string[] {
  return head
    .split('\r\n')
    .slice(1)
    .filter((line) => line.toLowerCase().startsWith(`${name.toLowerCase()}:`))
    .map((line) => line.slice(name.length + 1).trim());
}

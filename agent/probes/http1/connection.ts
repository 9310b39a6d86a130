import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { ConnectionOpener } from '../opener.ts';

/** What a connection tells the request that waits for its response. */
export interface ConnectionUser {
  onBytes(bytes: Buffer): void;
  /** Null: the instance closed the connection. */
  onClose(error: Error | null): void;
}

/**
 * All sockets read into this buffer, because Node passes the bytes on before it reads the next socket. With a buffer for
 * each socket or each read, buffers would take most of the memory of ten thousand connections.
 */
const READ_BUFFER = Buffer.allocUnsafeSlow(64 * 1024);

/** One connection to an instance. It carries one request at a time, and opens a new socket when the old one is closed. */
export class ProbeConnection {
  /** When the current socket was opened, in milliseconds of the opener's clock. */
  startedAt = 0;
  connectMs: number | undefined;
  tlsMs: number | undefined;
  readonly #opener: ConnectionOpener;
  #socket: Socket | null = null;
  #user: ConnectionUser | null = null;

  constructor(opener: ConnectionOpener) {
    this.#opener = opener;
  }

  get isOpen(): boolean {
    return this.#socket !== null;
  }

  get busy(): boolean {
    return this.#user !== null;
  }

  /** Sends the request, on a new socket if none is open. `user` gets the bytes until `release` or the end of the socket. */
  send(request: string, user: ConnectionUser): void {
    this.#user = user;
    if (this.#socket) this.#socket.write(request);
    else this.#open(request);
  }

  /** The response is complete; the socket stays open. */
  release(): void {
    this.#user = null;
  }

  /** Closes the socket and calls nothing back. */
  drop(): void {
    this.#user = null;
    this.#socket?.destroy();
    this.#socket = null;
  }

  #open(request: string): void {
    this.connectMs = undefined;
    this.tlsMs = undefined;
    this.startedAt = this.#opener.clock();
    try {
      const socket = this.#opener.connect({
        alpn: 'http/1.1',
        onread: {
          buffer: READ_BUFFER,
          callback: (length) => {
            if (this.#socket === socket) this.#read(length);
            return true;
          },
        },
      });
      this.#socket = socket;
      // These two listeners and `callback` live as long as the socket, so they keep nothing else in memory.
      socket.on('error', readErrorAtClose);
      socket.on('close', () => {
        if (this.#socket === socket) this.#onClose(socket.errored);
      });
      this.#writeWhenOpen(socket, request);
    } catch (error) {
      // For example, the file of a client certificate holds no certificate.
      this.#onClose(toError(error));
    }
  }

  #writeWhenOpen(socket: Socket, request: string): void {
    const { clock } = this.#opener;
    const secure = socket instanceof TLSSocket;
    socket.once('connect', () => {
      this.connectMs = clock() - this.startedAt;
      if (!secure) socket.write(request);
    });
    if (!secure) return;
    socket.once('secureConnect', () => {
      this.tlsMs = clock() - this.startedAt - (this.connectMs ?? 0);
      socket.write(request);
    });
  }

  #read(length: number): void {
    // Bytes without a request, such as a 408 before the instance closes an idle connection.
    if (this.#user === null) this.#socket?.destroy();
    else this.#user.onBytes(READ_BUFFER.subarray(0, length));
  }

  #onClose(error: Error | null): void {
    const user = this.#user;
    this.#socket = null;
    this.#user = null;
    if (user) user.onClose(error);
    else this.#opener.onClosed();
  }
}

/** An error without a listener would end the process. `close` follows, and the socket keeps the error until then. */
const readErrorAtClose = (): void => {};

const toError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));

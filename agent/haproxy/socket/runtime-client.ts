import { connect, type Socket } from 'node:net';
import { socketAddress } from './address.ts';
import { ADMIN_DIALECT, MASTER_DIALECT, type SocketPrompt } from './dialects.ts';

/** HAProxy does not answer: it is not running, it closed the connection, or it timed out. */
export class HaproxyUnreachable extends Error {
  override name = 'HaproxyUnreachable';
}

export interface RuntimeClient {
  /** The response to one command without its prompt; '' means success. Rejects with HaproxyUnreachable. */
  execute(command: string): Promise<string>;
  /** Why commands go through the master socket; null while they use the admin socket. */
  problem(): string | null;
  /** Closes the connection. The next command opens a new one, which the newest worker accepts. */
  disconnect(): void;
  close(): void;
}

export interface RuntimeClientOptions {
  /** Path of the admin socket, or host:port. */
  socket: string;
  /** The socket of the master process. It forwards commands to the worker when the admin socket cannot be used. */
  masterSocket?: string | undefined;
  timeoutMs?: number;
  /** Commands that may wait for their response; further commands are rejected. */
  maxPending?: number;
}

interface Pending {
  command: string;
  resolve(response: string): void;
  reject(error: Error): void;
}

const VIA_MASTER =
  'commands go through the master socket. Restart HAProxy to create the file again: a reload is not enough';
/** Why the admin socket cannot be used, by the error of `connect`. A reload keeps the owner and mode of its file. */
const UNUSABLE: ReadonlyMap<unknown, string> = new Map([
  ['ENOENT', 'is gone'],
  ['ECONNREFUSED', 'is gone'],
  ['EACCES', 'may not be used by this user'],
]);

/**
 * A client of HAProxy's Runtime API over one connection in interactive mode. HAProxy answers commands in order and ends
 * every response with a prompt. A timeout closes the connection and rejects every waiting command; the next command
 * reconnects.
 */
export const createRuntimeClient = (options: RuntimeClientOptions): RuntimeClient =>
  new HaproxyConnection(options);

const ignore = (): void => {};

class HaproxyConnection implements RuntimeClient {
  readonly #options: RuntimeClientOptions;
  readonly #timeoutMs: number;
  #connection: Socket | null = null;
  #dialect = ADMIN_DIALECT;
  #adminError = '';
  #unusable = '';
  #problem: string | null = null;
  /** Oldest first. The first `#sent` of them are written. */
  #pending: Pending[] = [];
  #sent = 0;
  #received = '';
  #closed = false;

  constructor(options: RuntimeClientOptions) {
    this.#options = options;
    this.#timeoutMs = options.timeoutMs ?? 3_000;
  }

  execute(command: string): Promise<string> {
    const { maxPending = 10_000 } = this.#options;
    if (this.#closed) return Promise.reject(new HaproxyUnreachable('the HAProxy client is closed'));
    if (this.#pending.length >= maxPending) {
      return Promise.reject(this.#unreachable(`${maxPending} commands are already waiting`));
    }
    return new Promise((resolve, reject) => {
      if (!this.#connection) this.#open();
      this.#pending.push({ command, resolve, reject });
      this.#flush();
    });
  }

  problem(): string | null {
    return this.#problem;
  }

  disconnect(): void {
    this.#fail('disconnected');
  }

  close(): void {
    this.#closed = true;
    this.#fail('closed');
  }

  #unreachable(why: string): HaproxyUnreachable {
    return new HaproxyUnreachable(`HAProxy socket ${this.#options.socket}: ${why}`);
  }

  #fail(why: string): void {
    this.#problem = null;
    const waiting = this.#pending;
    const old = this.#connection;
    this.#connection = null;
    this.#pending = [];
    this.#received = '';
    old?.destroy();
    for (const { reject } of waiting) reject(this.#unreachable(why));
  }

  #open(dialect = ADMIN_DIALECT): void {
    const { socket: address, masterSocket = address } = this.#options;
    const socket = connect(socketAddress(dialect === MASTER_DIALECT ? masterSocket : address));
    socket.setEncoding('utf8');
    socket.setTimeout(this.#timeoutMs);
    const current = () => socket === this.#connection;
    socket.on('timeout', () => {
      if (this.#pending.length === 0) return;
      const before = socket.bytesRead;
      // If this process was blocked, the response may already be in the socket: read it before giving up.
      setImmediate(() => {
        const silent = current() && socket.bytesRead === before;
        if (silent && this.#pending.length > 0) this.#fail(`no response within ${this.#timeoutMs} ms`);
      });
    });
    socket.on('error', (error) => current() && this.#onError(error));
    socket.on('close', () => current() && this.#fail('closed by HAProxy'));
    socket.on('data', (text: string) => current() && this.#receive(text));
    this.#connection = socket;
    this.#dialect = dialect;
    this.#sent = 0;
    const last = dialect.greeting.length - 1;
    this.#pending.unshift(
      ...dialect.greeting.map((command, index) => ({
        command,
        resolve: index === last ? (answer: string) => this.#onGreeted(answer) : ignore,
        reject: ignore,
      })),
    );
  }

  #onGreeted(answer: string): void {
    if (this.#dialect === ADMIN_DIALECT) this.#problem = null;
    else if (answer !== '') this.#fail(answer);
    else this.#problem = `${this.#options.socket} ${this.#unusable}; ${VIA_MASTER}`;
  }

  #onError(error: Error): void {
    const unusable = 'code' in error ? UNUSABLE.get(error.code) : undefined;
    const isMaster = this.#dialect === MASTER_DIALECT;
    if (unusable === undefined || isMaster || !this.#options.masterSocket) {
      this.#fail(isMaster ? this.#adminError : error.message);
      return;
    }
    this.#adminError = error.message;
    this.#unusable = unusable;
    // Nothing was sent: the master gets the same commands.
    this.#pending.splice(0, this.#dialect.greeting.length);
    this.#connection?.destroy();
    this.#open(MASTER_DIALECT);
    this.#flush();
  }

  #flush(): void {
    while (this.#sent < Math.min(this.#pending.length, this.#dialect.maxSent)) {
      // A line break would start a second command.
      const command = this.#pending[this.#sent]?.command.replaceAll(/[\r\n]+/g, ' ');
      this.#connection?.write(`${command}\n`);
      this.#sent++;
    }
  }

  #receive(text: string): void {
    let from = this.#received.length;
    this.#received += text;
    for (;;) {
      const prompt = this.#dialect.findPrompt(this.#received, from);
      if (!prompt) return;
      this.#finish(prompt);
      from = 0;
    }
  }

  /** The response to the oldest command ends at the prompt. */
  #finish({ start, length }: SocketPrompt): void {
    const response = this.#received.slice(0, start);
    this.#received = this.#received.slice(start + length);
    this.#sent--;
    this.#pending.shift()?.resolve(response.trim());
    this.#flush();
  }
}

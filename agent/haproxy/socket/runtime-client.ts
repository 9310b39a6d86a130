import { connect, type Socket } from 'node:net';
import { socketAddress } from './address.ts';

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

const PROMPT = '\n> ';
/** The master's prompt names the process that answers, such as `1234> `. */
const MASTER_PROMPT = /(?:^|\n)(?:master|\d+)> $/;
const MASTER_PROMPT_LENGTH = 24;
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

class HaproxyConnection implements RuntimeClient {
  readonly #options: RuntimeClientOptions;
  readonly #timeoutMs: number;
  #connection: Socket | null = null;
  #route: 'admin' | 'master' = 'admin';
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
      if (!this.#connection) this.#open('admin');
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

  #open(route: 'admin' | 'master'): void {
    const { socket: address, masterSocket = address } = this.#options;
    const socket = connect(socketAddress(route === 'master' ? masterSocket : address));
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
    this.#route = route;
    this.#sent = 0;
    this.#pending.unshift(...this.#greeting(route));
  }

  /** The first commands of a connection. The master forwards the rest to its newest worker. */
  #greeting(route: 'admin' | 'master'): Pending[] {
    const ignore = (): void => {};
    const prompt = { command: 'prompt', resolve: ignore, reject: ignore };
    const selected = (answer: string): void => {
      if (answer === '') this.#problem = `${this.#options.socket} ${this.#unusable}; ${VIA_MASTER}`;
      else this.#fail(answer);
    };
    if (route === 'master') return [prompt, { command: '@1', resolve: selected, reject: ignore }];
    return [
      {
        ...prompt,
        resolve: () => {
          this.#problem = null;
        },
      },
    ];
  }

  #onError(error: Error): void {
    const unusable = 'code' in error ? UNUSABLE.get(error.code) : undefined;
    if (unusable === undefined || this.#route === 'master' || !this.#options.masterSocket) {
      this.#fail(this.#route === 'master' ? this.#adminError : error.message);
      return;
    }
    this.#adminError = error.message;
    this.#unusable = unusable;
    // Nothing was sent: the master gets the same commands.
    this.#pending.shift();
    this.#connection?.destroy();
    this.#open('master');
    this.#flush();
  }

  /** The master takes one command at a time. */
  #flush(): void {
    const limit = this.#route === 'master' ? 1 : Number.POSITIVE_INFINITY;
    while (this.#sent < Math.min(this.#pending.length, limit)) {
      // A line break would start a second command.
      const command = this.#pending[this.#sent]?.command.replaceAll(/[\r\n]+/g, ' ');
      this.#connection?.write(`${command}\n`);
      this.#sent++;
    }
  }

  #receive(text: string): void {
    // Search only from just before the new text: a response of megabytes arrives in many chunks.
    let from = Math.max(0, this.#received.length - PROMPT.length);
    this.#received += text;
    if (this.#route === 'master') {
      const prompt = MASTER_PROMPT.exec(this.#received.slice(-MASTER_PROMPT_LENGTH))?.[0];
      if (prompt !== undefined) this.#finish(this.#received.length - prompt.length, prompt.length);
      return;
    }
    for (
      let end = this.#received.indexOf(PROMPT, from);
      end >= 0;
      end = this.#received.indexOf(PROMPT, from)
    ) {
      this.#finish(end, PROMPT.length);
      from = 0;
    }
  }

  /** The response to the oldest command ends at `end`. */
  #finish(end: number, promptLength: number): void {
    const response = this.#received.slice(0, end);
    this.#received = this.#received.slice(end + promptLength);
    this.#sent--;
    this.#pending.shift()?.resolve(response.trim());
    this.#flush();
  }
}

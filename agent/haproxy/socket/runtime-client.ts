import { connect, type Socket } from 'node:net';
import { socketAddress } from '../render/quoting.ts';

/** HAProxy could not be asked: not running, cut off, or silent for too long. */
export class HaproxyUnreachable extends Error {
  override name = 'HaproxyAway';
}

export interface RuntimeClient {
  /** One command's answer without its prompt; '' is HAProxy's way to say it is done. Rejects with HaproxyAway. */
  execute(command: string): Promise<string>;
  /** Lets the connection go; the next question makes a new one (and so reaches the newest worker). */
  disconnect(): void;
  close(): void;
}

export interface RuntimeClientOptions {
  /** Path of the admin socket, or host:port. */
  socket: string;
  timeoutMs?: number;
  /** Questions that may wait for their answer; more are refused. */
  maxPending?: number;
}

interface Pending {
  resolve(answer: string): void;
  reject(error: Error): void;
}

const PROMPT = '\n> ';

/**
 * HAProxy's runtime socket over one connection in its interactive mode: commands are written as they come and answered
 * in order, each answer ending with a prompt. A silent HAProxy costs the connection, not the caller: every question
 * that waits fails, the next one connects anew.
 */
export function createRuntimeClient(options: RuntimeClientOptions): RuntimeClient {
  const { socket: where, timeoutMs = 3_000, maxPending = 10_000 } = options;
  let connection: Socket | null = null;
  let pending: Pending[] = [];
  let received = '';
  let closed = false;

  function fail(why: string): void {
    const waiting = pending;
    const old = connection;
    connection = null;
    pending = [];
    received = '';
    old?.destroy();
    for (const { reject } of waiting) reject(new HaproxyUnreachable(`HAProxy socket ${where}: ${why}`));
  }

  function open(): Socket {
    const socket = connect(socketAddress(where));
    socket.setEncoding('utf8');
    socket.setTimeout(timeoutMs);
    const current = () => socket === connection;
    socket.on('timeout', () => {
      if (pending.length === 0) return;
      const before = socket.bytesRead;
      // When this process was held up, the answer may lie in the socket: what has arrived is read first.
      setImmediate(() => {
        const silent = current() && socket.bytesRead === before;
        if (silent && pending.length > 0) fail(`no answer within ${timeoutMs} ms`);
      });
    });
    socket.on('error', (error) => current() && fail(error.message));
    socket.on('close', () => current() && fail('closed by HAProxy'));
    socket.on('data', (text: string) => current() && take(text));
    connection = socket;
    // The first prompt answers this command; it stands in the line like any other question.
    pending.push({ resolve: () => undefined, reject: () => undefined });
    socket.write('prompt\n');
    return socket;
  }

  function take(text: string): void {
    // Searched from just before the new text: an answer of megabytes comes in many pieces.
    let from = Math.max(0, received.length - PROMPT.length);
    received += text;
    for (let end = received.indexOf(PROMPT, from); end >= 0; end = received.indexOf(PROMPT, from)) {
      const answer = received.slice(0, end);
      received = received.slice(end + PROMPT.length);
      from = 0;
      pending.shift()?.resolve(answer.trim());
    }
  }

  return {
    execute(command) {
      if (closed) return Promise.reject(new HaproxyUnreachable('the HAProxy client is closed'));
      if (pending.length >= maxPending) {
        return Promise.reject(
          new HaproxyUnreachable(`HAProxy socket ${where}: ${maxPending} questions wait already`),
        );
      }
      return new Promise((resolve, reject) => {
        const socket = connection ?? open();
        pending.push({ resolve, reject });
        // A line break would be a second command.
        socket.write(`${command.replaceAll(/[\r\n]+/g, ' ')}\n`);
      });
    },
    disconnect: () => fail('connection given up'),
    close() {
      closed = true;
      fail('closed');
    },
  };
}

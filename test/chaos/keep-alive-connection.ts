import { connect, type Socket } from 'node:net';

export interface KeepAliveResponse {
  /** 0: no response, or an incomplete one. */
  status: number;
  /** The first cookie of the response, ready to be sent back, or ''. */
  cookie: string;
  /** Until the last byte. */
  ms: number;
  error: string;
}

const TIMEOUT_MS = 20_000;

/**
 * A client's keep-alive connection with one request at a time. It is cheap, so that one machine can run a thousand. It
 * parses only what our own edge and demo instances send, not all of HTTP.
 */
export class KeepAliveConnection {
  readonly #host: string;
  readonly #port: number;
  #socket: Socket | null = null;
  #received = '';
  #waiting: {
    startedAt: number;
    text: string;
    reused: boolean;
    settle: (reply: KeepAliveResponse) => void;
  } | null = null;
  /** Requests sent again because the idle connection was closed at the same time (RFC 9112 §9.3.1). */
  resends = 0;

  constructor(origin: string) {
    const { hostname, port } = new URL(origin);
    this.#host = hostname;
    this.#port = Number(port);
  }

  /** `head`: request line and fields, without `Host` and the final empty line. Only for repeatable requests. Never rejects. */
  request(head: string, body = ''): Promise<KeepAliveResponse> {
    return new Promise((settle) => {
      const text = `${head}\r\nhost: ${this.#host}:${this.#port}\r\n\r\n${body}`;
      this.#waiting = { startedAt: performance.now(), text, reused: this.#socket !== null, settle };
      this.#received = '';
      this.#socket ??= this.#open();
      this.#socket.write(text);
    });
  }

  close(): void {
    this.#socket?.destroy();
  }

  #open(): Socket {
    const socket = connect({ host: this.#host, port: this.#port, noDelay: true });
    const fail = (error: string, closed = true): void => {
      socket.destroy();
      if (this.#socket !== socket) return;
      this.#socket = null;
      const waiting = this.#waiting;
      if (!closed || !waiting?.reused || this.#received !== '') {
        this.#settle(0, error);
        return;
      }
      // The server's idle timeout expired when the request was sent: repeat it once, as every client does.
      waiting.reused = false;
      this.resends++;
      this.#socket = this.#open();
      this.#socket.write(waiting.text);
    };
    socket.setEncoding('latin1');
    socket.setTimeout(
      TIMEOUT_MS,
      () => this.#waiting && fail(`no response within ${TIMEOUT_MS / 1_000} s`, false),
    );
    socket.on('data', (chunk: string) => {
      this.#received += chunk;
      const status = completeStatus(this.#received);
      if (status > 0) this.#settle(status, '');
    });
    socket.on('error', (error) => fail(error.message));
    // Between two responses the server may close the connection.
    socket.on('close', () => fail('closed before the response was complete'));
    return socket;
  }

  #settle(status: number, error: string): void {
    const waiting = this.#waiting;
    if (!waiting) return;
    this.#waiting = null;
    const cookie = /\r\nset-cookie: ([^;\r]+)/i.exec(this.#received)?.[1] ?? '';
    waiting.settle({ status, cookie, ms: performance.now() - waiting.startedAt, error });
  }
}

/** The status of a complete response; 0 while bytes are missing. */
export function completeStatus(text: string): number {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return 0;
  const status = Number(text.slice(9, 12));
  const head = text.slice(0, end).toLowerCase();
  const length = /\r\ncontent-length: (\d+)/.exec(head)?.[1];
  if (length !== undefined) return text.length - end - 4 >= Number(length) ? status : 0;
  if (/\r\ntransfer-encoding: chunked/.test(head)) return text.endsWith('\r\n0\r\n\r\n') ? status : 0;
  return status === 204 || status === 304 ? status : 0;
}

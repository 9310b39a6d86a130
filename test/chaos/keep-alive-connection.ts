import { connect, type Socket } from 'node:net';

export interface KeepAliveResponse {
  /** 0: no answer, or one that broke off. */
  status: number;
  /** The first cookie that was set, as it is to be sent back; empty when none was. */
  cookie: string;
  /** Until the last byte. */
  ms: number;
  error: string;
}

const TIMEOUT_MS = 20_000;

/**
 * One client's kept-alive connection, one request at a time: no more than bytes out and bytes in, so that a thousand of
 * them cost the machine little beside what they load. Reads what our own edge and instances send, not all of HTTP.
 */
export class KeepAliveConnection {
  readonly #host: string;
  readonly #port: number;
  #socket: Socket | null = null;
  #received = '';
  #waiting: {
    began: number;
    text: string;
    reused: boolean;
    settle: (reply: KeepAliveResponse) => void;
  } | null = null;
  /** Requests sent anew because the kept-alive connection was closed under them (RFC 9112 §9.3.1). */
  resends = 0;

  constructor(origin: string) {
    const { hostname, port } = new URL(origin);
    this.#host = hostname;
    this.#port = Number(port);
  }

  /** `head`: request line and fields, without `Host` and the closing empty line. For what may be repeated. Never rejects. */
  request(head: string, body = ''): Promise<KeepAliveResponse> {
    return new Promise((settle) => {
      const text = `${head}\r\nhost: ${this.#host}:${this.#port}\r\n\r\n${body}`;
      this.#waiting = { began: performance.now(), text, reused: this.#socket !== null, settle };
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
    const gone = (error: string, closed = true): void => {
      socket.destroy();
      if (this.#socket !== socket) return;
      this.#socket = null;
      const waiting = this.#waiting;
      if (!closed || !waiting?.reused || this.#received !== '') {
        this.#settle(0, error);
        return;
      }
      // The server's idle time was over as the request came: every client sends what may be repeated once more.
      waiting.reused = false;
      this.resends++;
      this.#socket = this.#open();
      this.#socket.write(waiting.text);
    };
    socket.setEncoding('latin1');
    socket.setTimeout(TIMEOUT_MS, () => this.#waiting && gone(`no answer in ${TIMEOUT_MS / 1_000} s`, false));
    socket.on('data', (chunk: string) => {
      this.#received += chunk;
      const status = completeStatus(this.#received);
      if (status > 0) this.#settle(status, '');
    });
    socket.on('error', (error) => gone(error.message));
    // Between two answers that is the server's good right.
    socket.on('close', () => gone('closed before the answer was whole'));
    return socket;
  }

  #settle(status: number, error: string): void {
    const waiting = this.#waiting;
    if (!waiting) return;
    this.#waiting = null;
    const cookie = /\r\nset-cookie: ([^;\r]+)/i.exec(this.#received)?.[1] ?? '';
    waiting.settle({ status, cookie, ms: performance.now() - waiting.began, error });
  }
}

/** The status of a whole answer; 0 while bytes are missing. */
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

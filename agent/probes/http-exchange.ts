import type { HealthCheck } from '../../shared/config/config.ts';
import type { ConnectionUser, ProbeConnection } from './connection.ts';
import { errorCode, probeError } from './errors.ts';
import { checkBody, checkStatus, needsBody } from './expectation.ts';
import { observationOf } from './observation.ts';
import { ResponseReader } from './response-reader.ts';
import type { ProbeObservation } from './target.ts';

/** At most this much of a body is read. */
const MAX_BODY_BYTES = 64 * 1024;
/** Errors that an old connection may cause before the first byte of a response. */
const CLOSED_CODES = new Set(['ECONNRESET', 'EPIPE']);

export interface ExchangeResult {
  observation: ProbeObservation;
  /** The connection closed before the first byte of a response. */
  unanswered: boolean;
}

export interface ExchangeOptions {
  connection: ProbeConnection;
  check: HealthCheck;
  /** With its port, as in the URL of the instance. */
  host: string;
  clock: () => number;
}

/** Sends one request over a connection and checks the response. Never rejects. */
export function sendProbe(options: ExchangeOptions): Promise<ExchangeResult> {
  return new Promise((resolve) => {
    new ProbeExchange(options, resolve).start();
  });
}

/** The request of a check. A field of the configuration replaces the default one. */
export function requestText({ method, path, headers }: HealthCheck, host: string): string {
  const fields = {
    host,
    'user-agent': 'acgs-lb-agent',
    accept: '*/*',
    ...(method === 'POST' && { 'content-length': '0' }),
    ...headers,
  };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`;
}

class ProbeExchange implements ConnectionUser {
  readonly #options: ExchangeOptions;
  readonly #resolve: (result: ExchangeResult) => void;
  readonly #startedAt: number;
  readonly #isNewConnection: boolean;
  readonly #reader: ResponseReader;
  readonly #timer: NodeJS.Timeout;
  #firstByteMs: number | undefined;
  #settled = false;

  constructor(options: ExchangeOptions, resolve: (result: ExchangeResult) => void) {
    const { check, clock, connection } = options;
    this.#options = options;
    this.#resolve = resolve;
    this.#startedAt = clock();
    this.#isNewConnection = !connection.isOpen;
    this.#reader = new ResponseReader(check.method, needsBody(check.expect));
    // After a stall of this process the response may be in the socket, so pending data is read first.
    this.#timer = setTimeout(setImmediate, check.timeout, () => this.#timeOut());
  }

  start(): void {
    const { check, connection, host } = this.#options;
    connection.send(requestText(check, host), this);
  }

  onBytes(bytes: Buffer): void {
    const reader = this.#reader;
    this.#firstByteMs ??= this.#elapsedMs();
    try {
      reader.read(bytes);
    } catch (error) {
      this.#options.connection.drop();
      this.#finish(probeError(error, this.#options.host));
      return;
    }
    // The first part of a large body decides.
    if (!reader.ended && reader.bodyBytes <= MAX_BODY_BYTES) return;
    if (reader.ended && reader.reusable) this.#options.connection.release();
    else this.#options.connection.drop();
    this.#finish(this.#responseError());
  }

  onClose(error: Error | null): void {
    const { host } = this.#options;
    if (error === null && this.#reader.close()) {
      this.#finish(this.#responseError());
      return;
    }
    const answered = this.#firstByteMs !== undefined;
    const unanswered = !answered && (error === null || CLOSED_CODES.has(errorCode(error) ?? ''));
    const closed = `connection closed before the ${answered ? 'end of the ' : ''}response ${host}`;
    this.#finish(error === null ? closed : probeError(error, host), unanswered);
  }

  #elapsedMs(): number {
    return this.#options.clock() - this.#startedAt;
  }

  #responseError(): string | null {
    const { expect } = this.#options.check;
    const { status, body } = this.#reader;
    return checkStatus(expect, status) ?? (needsBody(expect) ? checkBody(expect, body) : null);
  }

  #timeOut(): void {
    if (this.#settled) return;
    const { connection, check, host } = this.#options;
    connection.drop();
    this.#finish(`no response from ${host} within ${check.timeout} ms`);
  }

  #finish(error: string | null, unanswered = false): void {
    if (this.#settled) return;
    this.#settled = true;
    clearTimeout(this.#timer);
    const observation = observationOf({
      error,
      latencyMs: this.#elapsedMs(),
      firstByteMs: this.#firstByteMs,
      opened: this.#isNewConnection ? this.#options.connection : {},
    });
    this.#resolve({ observation, unanswered });
  }
}

import type { HealthCheck } from '../../../shared/config/config.ts';
import { type ExchangeOptions, type ExchangeResult, MAX_BODY_BYTES, ProbeExchange } from '../exchange.ts';
import { checkBody, checkStatus, needsBody } from '../expectation.ts';
import type { ConnectionUser, ProbeConnection } from './connection.ts';
import { ResponseReader } from './response-reader.ts';

interface HttpExchangeOptions extends ExchangeOptions {
  connection: ProbeConnection;
}

/** Sends one request over a connection and checks the response. Never rejects. */
export function sendProbe(options: HttpExchangeOptions): Promise<ExchangeResult> {
  return new Promise((resolve) => {
    new HttpExchange(options, resolve).start();
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

class HttpExchange extends ProbeExchange<HttpExchangeOptions> implements ConnectionUser {
  readonly #reader: ResponseReader;

  constructor(options: HttpExchangeOptions, resolve: (result: ExchangeResult) => void) {
    const { check, connection } = options;
    super(options, resolve, connection.isOpen ? {} : connection);
    this.#reader = new ResponseReader(check.method, needsBody(check.expect));
  }

  start(): void {
    const { check, connection, host } = this.options;
    connection.send(requestText(check, host), this);
  }

  onBytes(bytes: Buffer): void {
    const reader = this.#reader;
    this.noteFirstByte();
    try {
      reader.read(bytes);
    } catch (error) {
      this.options.connection.drop();
      this.fail(error);
      return;
    }
    // The first part of a large body decides.
    if (!reader.ended && reader.bodyBytes <= MAX_BODY_BYTES) return;
    if (reader.ended && reader.reusable) this.options.connection.release();
    else this.options.connection.drop();
    this.finish(this.#responseError());
  }

  onClose(error: Error | null): void {
    if (error !== null) {
      this.fail(error);
    } else if (this.#reader.close()) {
      this.finish(this.#responseError());
    } else {
      const before = this.hasFirstByte ? 'the end of the response' : 'the response';
      this.finish(`connection closed before ${before} ${this.options.host}`, !this.hasFirstByte);
    }
  }

  protected override cancel(): void {
    this.options.connection.drop();
  }

  #responseError(): string | null {
    const { expect } = this.options.check;
    const { status, body } = this.#reader;
    return checkStatus(expect, status) ?? (needsBody(expect) ? checkBody(expect, body) : null);
  }
}

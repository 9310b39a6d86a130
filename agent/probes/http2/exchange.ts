import { TextDecoder } from 'node:util';
import type { Dispatcher } from 'undici';
import type { HealthCheck } from '../../../shared/config/config.ts';
import { errorCode, probeError } from '../errors.ts';
import { checkBody, checkStatus, needsBody } from '../expectation.ts';
import { grpcHealthError } from '../grpc.ts';
import type { ExchangeResult } from '../http-exchange.ts';
import { observationOf } from '../observation.ts';
import type { Http2Connection } from './connection.ts';

/** At most this much of a body is read. */
const MAX_BODY_BYTES = 64 * 1024;
/** Errors that an old connection may cause before the first byte of a response. */
const CLOSED_CODES = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE']);

export interface Http2ExchangeOptions {
  connection: Http2Connection;
  check: HealthCheck;
  /** For error texts. */
  host: string;
  clock: () => number;
  /** The timeout was reached while the connection was being opened. */
  onConnectTimeout(): void;
}

/** Sends one request over a connection and checks the response. Never rejects. */
export function sendHttp2Probe(
  request: Dispatcher.DispatchOptions,
  options: Http2ExchangeOptions,
): Promise<ExchangeResult> {
  return new Promise((resolve) => {
    options.connection.client.dispatch(request, new Http2Exchange(options, resolve));
  });
}

type ProbeFields = Readonly<Record<string, string | string[] | undefined>>;

const fieldOf = (fields: ProbeFields, name: string): string | undefined =>
  fields[name] === undefined ? undefined : String(fields[name]);

class Http2Exchange implements Dispatcher.DispatchHandler {
  readonly #options: Http2ExchangeOptions;
  readonly #resolve: (result: ExchangeResult) => void;
  readonly #startedAt: number;
  readonly #isNewConnection: boolean;
  readonly #decoder: TextDecoder | null;
  readonly #timer: NodeJS.Timeout;
  #controller: Dispatcher.DispatchController | undefined;
  #firstByteMs: number | undefined;
  #body = '';
  #receivedBytes = 0;
  #status = 0;
  #grpcStatus: string | undefined;
  #settled = false;

  constructor(options: Http2ExchangeOptions, resolve: (result: ExchangeResult) => void) {
    this.#options = options;
    this.#resolve = resolve;
    this.#startedAt = options.clock();
    this.#isNewConnection = !options.connection.used;
    const { type, expect } = options.check;
    this.#decoder = type === 'grpc' || needsBody(expect) ? new TextDecoder() : null;
    // After a stall of this process the response may be in the socket, so pending data is read first.
    this.#timer = setTimeout(setImmediate, options.check.timeout, () => this.#timeOut());
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: ProbeFields): void {
    const { connection } = this.#options;
    this.#firstByteMs = this.#elapsedMs();
    this.#status = status;
    this.#grpcStatus = fieldOf(headers, 'grpc-status');
    connection.used = true;
    if (String(headers.connection).toLowerCase() === 'close') connection.expectClose = true;
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Uint8Array): void {
    if (this.#decoder) this.#body += this.#decoder.decode(chunk, { stream: true });
    this.#receivedBytes += chunk.length;
    if (this.#receivedBytes <= MAX_BODY_BYTES) return;
    // The first part of a large body decides.
    this.#finish(this.#responseError());
    this.#options.connection.expectClose = true;
    controller.abort(new Error('read enough'));
  }

  onResponseEnd(_: Dispatcher.DispatchController, trailers: ProbeFields): void {
    this.#grpcStatus ??= fieldOf(trailers, 'grpc-status');
    this.#finish(this.#responseError());
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    const code = errorCode(error);
    const unanswered = this.#firstByteMs === undefined && code !== undefined && CLOSED_CODES.has(code);
    this.#finish(probeError(error, this.#options.host), unanswered);
  }

  #elapsedMs(): number {
    return this.#options.clock() - this.#startedAt;
  }

  #responseError(): string | null {
    const { type, expect } = this.#options.check;
    if (type === 'grpc') {
      return grpcHealthError({
        httpStatus: this.#status,
        grpcStatus: this.#grpcStatus,
        body: this.#body,
      });
    }
    return checkStatus(expect, this.#status) ?? (this.#decoder ? checkBody(expect, this.#body) : null);
  }

  #timeOut(): void {
    if (this.#settled) return;
    const { connection, check, host, onConnectTimeout } = this.#options;
    this.#finish(`no response from ${host} within ${check.timeout} ms`);
    connection.expectClose = true;
    if (this.#controller) this.#controller.abort(new Error('probe timed out'));
    else onConnectTimeout();
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

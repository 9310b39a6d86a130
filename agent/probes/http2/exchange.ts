import { TextDecoder } from 'node:util';
import type { Dispatcher } from 'undici';
import { type ExchangeOptions, type ExchangeResult, MAX_BODY_BYTES, ProbeExchange } from '../exchange.ts';
import { checkBody, checkStatus, needsBody } from '../expectation.ts';
import type { Http2Connection } from './connection.ts';
import { grpcHealthError } from './grpc.ts';

interface Http2ExchangeOptions extends ExchangeOptions {
  connection: Http2Connection;
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

class Http2Exchange extends ProbeExchange<Http2ExchangeOptions> implements Dispatcher.DispatchHandler {
  readonly #decoder: TextDecoder | null;
  #controller: Dispatcher.DispatchController | undefined;
  #body = '';
  #receivedBytes = 0;
  #status = 0;
  #grpcStatus: string | undefined;

  constructor(options: Http2ExchangeOptions, resolve: (result: ExchangeResult) => void) {
    const { check, connection } = options;
    super(options, resolve, connection.used ? {} : connection);
    this.#decoder = check.type === 'grpc' || needsBody(check.expect) ? new TextDecoder() : null;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: ProbeFields): void {
    const { connection } = this.options;
    this.noteFirstByte();
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
    this.finish(this.#responseError());
    this.options.connection.expectClose = true;
    controller.abort(new Error('read enough'));
  }

  onResponseEnd(_: Dispatcher.DispatchController, trailers: ProbeFields): void {
    this.#grpcStatus ??= fieldOf(trailers, 'grpc-status');
    this.finish(this.#responseError());
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    this.fail(error);
  }

  #responseError(): string | null {
    const { type, expect } = this.options.check;
    if (type === 'grpc') {
      return grpcHealthError({
        httpStatus: this.#status,
        grpcStatus: this.#grpcStatus,
        body: this.#body,
      });
    }
    return checkStatus(expect, this.#status) ?? (this.#decoder ? checkBody(expect, this.#body) : null);
  }

  protected override cancel(): void {
    const { connection, onConnectTimeout } = this.options;
    connection.expectClose = true;
    if (this.#controller) this.#controller.abort(new Error('probe timed out'));
    else onConnectTimeout();
  }
}

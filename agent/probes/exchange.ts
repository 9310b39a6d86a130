import type { HealthCheck } from '../../shared/config/config.ts';
import { errorCode, probeError } from './errors.ts';
import type { ProbeObservation } from './target.ts';

/** At most this much of a body is read. */
export const MAX_BODY_BYTES = 64 * 1024;
/** Errors that an old connection may cause before the first byte of a response. */
const CLOSED_CODES = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE']);

export interface ExchangeResult {
  observation: ProbeObservation;
  /** The connection closed before the first byte of a response. */
  unanswered: boolean;
}

export interface ExchangeOptions {
  check: HealthCheck;
  /** With its port, as in the URL of the instance. */
  host: string;
  clock: () => number;
}

/** What the opening of a connection took, in milliseconds. */
interface ConnectionTimes {
  connectMs?: number | undefined;
  tlsMs?: number | undefined;
}

/** One request of a probe, whatever its protocol: it measures the times, and ends once, after `check.timeout` at the latest. */
export abstract class ProbeExchange<Options extends ExchangeOptions> {
  protected readonly options: Options;
  readonly #resolve: (result: ExchangeResult) => void;
  readonly #opened: ConnectionTimes;
  readonly #startedAt: number;
  readonly #timer: NodeJS.Timeout;
  #firstByteMs: number | undefined;
  #settled = false;

  /** `opened`: the connection if this probe opens it; otherwise empty. */
  constructor(options: Options, resolve: (result: ExchangeResult) => void, opened: ConnectionTimes) {
    this.options = options;
    this.#resolve = resolve;
    this.#opened = opened;
    this.#startedAt = options.clock();
    // After a stall of this process the response may be in the socket, so pending data is read first.
    this.#timer = setTimeout(setImmediate, options.check.timeout, () => this.#timeOut());
  }

  /** Ends the request at the timeout. */
  protected abstract cancel(): void;

  protected get hasFirstByte(): boolean {
    return this.#firstByteMs !== undefined;
  }

  protected noteFirstByte(): void {
    this.#firstByteMs ??= this.#elapsedMs();
  }

  /** `error`: of the connection or of the parser. */
  protected fail(error: unknown): void {
    const unanswered = !this.hasFirstByte && CLOSED_CODES.has(errorCode(error) ?? '');
    this.finish(probeError(error, this.options.host), unanswered);
  }

  /** `error`: why the probe failed; null: it passed. Only the first call counts. */
  protected finish(error: string | null, unanswered = false): void {
    if (this.#settled) return;
    this.#settled = true;
    clearTimeout(this.#timer);
    const { connectMs, tlsMs } = this.#opened;
    const firstByteMs = this.#firstByteMs;
    const observation = {
      ok: error === null,
      latencyMs: this.#elapsedMs(),
      timing: {
        ...(connectMs !== undefined && { connectMs }),
        ...(tlsMs !== undefined && { tlsMs }),
        ...(firstByteMs !== undefined && { firstByteMs }),
      },
      ...(error !== null && { error }),
    };
    this.#resolve({ observation, unanswered });
  }

  #timeOut(): void {
    if (this.#settled) return;
    const { check, host } = this.options;
    this.finish(`no response from ${host} within ${check.timeout} ms`);
    this.cancel();
  }

  #elapsedMs(): number {
    return this.options.clock() - this.#startedAt;
  }
}

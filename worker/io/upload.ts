import { GrowingBuffer } from './growing-buffer.ts';
import type { SlowUploads } from './slow-uploads.ts';

/** Why a body did not arrive: the client stopped early, was too slow, or sends too many bodies slowly. */
export type UploadFailure = 'broken' | 'slow' | 'crowded';

interface UploadOptions {
  readonly client: string;
  /** The declared length; null when it is unknown. */
  readonly length: number | null;
  readonly slowUploads: SlowUploads;
  readonly now: () => number;
}

/** Read from the client before the first attempt. A body that ends within it can be sent again. */
export const PREFIX_BYTES = 64 * 1024;
const TICK_MS = 1_000;
/** The longest time without a byte, and the time that a client may take without any minimum rate. */
const GRACE_MS = 10_000;
/** 1 KB per second. */
const MIN_BYTES_PER_MS = 1;
/** How long the rest of a body that the upstream refused is read and dropped. */
const LINGER_MS = 5_000;
/** A body that occupies an instance must arrive faster: 16 KB per second. */
const MIN_STREAM_BYTES_PER_MS = 16;

/**
 * A client's body. Its deadline moves while bytes arrive at a minimum rate. Only time in which the client keeps the edge
 * waiting counts, not the time that an instance takes to read on.
 */
export class Upload {
  readonly #reader: ReadableStreamBYOBReader;
  readonly #options: UploadOptions;
  /** One large read costs as much as a small one; a short body must show its progress. */
  readonly #bytesPerRead: number;
  #received = 0;
  #prefix: Uint8Array[] = [];
  #failure: UploadFailure | null = null;
  /** The read that the client keeps waiting. */
  #pending: PromiseWithResolvers<Uint8Array | null> | null = null;
  #progressAt: number;
  #ended = false;
  #waitedMs = 0;
  #stalledMs = 0;
  #slow: ReturnType<SlowUploads['begin']> = null;
  /** The upstream has stopped reading. */
  readonly #refused = Promise.withResolvers<void>();
  /** Resolves when no more of the body is awaited. */
  readonly #over = Promise.withResolvers<void>();
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(body: ReadableStream, options: UploadOptions) {
    this.#options = options;
    this.#progressAt = options.now();
    this.#bytesPerRead = (options.length ?? 0) > PREFIX_BYTES ? PREFIX_BYTES : 1;
    this.#reader = body.getReader({ mode: 'byob' });
    this.#timer = setInterval(() => this.#onTick(), TICK_MS);
  }

  get failure(): UploadFailure | null {
    return this.#failure;
  }

  get isReadPending(): boolean {
    return this.#pending !== null;
  }

  /**
   * When an attempt that sends the body times out, epoch ms. `timeoutMs` is the time of the instance. While bytes
   * arrive at a minimum rate, the timeout moves on.
   */
  timesOutAt(startedAt: number, timeoutMs: number): number {
    const stalled = this.#progressAt + timeoutMs;
    if (this.#ended) return stalled;
    return Math.min(stalled, startedAt + timeoutMs + this.#received / MIN_STREAM_BYTES_PER_MS);
  }

  /** Reads the prefix. Returns the whole body when it ends there; null: there is more, or it failed. */
  async readPrefix(): Promise<Uint8Array<ArrayBuffer> | null> {
    const prefix = new GrowingBuffer(PREFIX_BYTES);
    while (this.#bytesPerRead === 1 || prefix.length === 0) {
      const chunk = await this.#read();
      if (this.#failure) return null;
      if (!chunk) return prefix.bytes;
      if (prefix.append(chunk)) continue;
      this.#prefix = [prefix.bytes, chunk];
      return null;
    }
    this.#prefix = [prefix.bytes];
    return null;
  }

  /**
   * The prefix and the rest, once. `abort` must abort the request that sends it. It is called when the client fails. If
   * the stream failed instead, the runtime would end the body normally, and the upstream would take half an upload for a
   * complete one.
   */
  open(abort: () => void): ReadableStream {
    const source = {
      pull: async (controller: ReadableStreamDefaultController<Uint8Array>) => {
        const chunk = this.#prefix.shift() ?? (await this.#read());
        if (this.#failure) return abort();
        if (chunk) controller.enqueue(chunk);
        else controller.close();
      },
      cancel: () => this.#refused.resolve(),
    };
    const stream = new ReadableStream<Uint8Array>(source, { highWaterMark: 0 });
    const { length } = this.#options;
    if (length === null) return stream;
    // Keeps the Content-Length.
    const fixed = new FixedLengthStream(length);
    stream.pipeTo(fixed.writable).catch(() => {});
    return fixed.readable;
  }

  /**
   * An early refusal, such as 413. Its end waits some seconds for the client to send everything: after the end the runtime
   * closes the connection, and a client that still sends would get a reset instead of the answer.
   */
  untilSent(response: Response): Response {
    const isComplete = this.#ended || this.#received === this.#options.length;
    const { headers, status, body } = response;
    // The runtime would decode a compressed body.
    if (isComplete || status < 400 || !body || headers.has('content-encoding')) return response;
    this.#refused.promise.then(() => this.#discardRest());
    const length = headers.get('content-length');
    const held = length === null ? new IdentityTransformStream() : new FixedLengthStream(Number(length));
    body
      .pipeTo(held.writable, { preventClose: true })
      .then(() => this.#linger())
      .then(() => held.writable.close())
      .catch(() => {});
    return new Response(held.readable, response);
  }

  #linger(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, LINGER_MS);
    this.#over.promise.then(resolve);
    return promise.finally(() => clearTimeout(timer));
  }

  async #discardRest(): Promise<void> {
    // The upstream's last read may still wait for the client.
    await this.#pending?.promise.catch(() => {});
    const until = this.#options.now() + LINGER_MS;
    while (!this.#ended && !this.#failure && this.#options.now() < until) await this.#read();
    this.#release();
  }

  /** Null: the body has ended, or failed. */
  async #read(): Promise<Uint8Array | null> {
    if (this.#failure) return null;
    const pending = Promise.withResolvers<Uint8Array | null>();
    this.#pending = pending;
    this.#reader
      .readAtLeast(this.#bytesPerRead, new Uint8Array(PREFIX_BYTES))
      .then(({ value }) => pending.resolve(value?.length ? value : null), pending.reject);
    try {
      const chunk = await pending.promise;
      this.#stalledMs = 0;
      this.#progressAt = this.#options.now();
      this.#received += chunk?.length ?? 0;
      if (!chunk) this.#onEnd();
      return chunk;
    } catch {
      this.#fail('broken');
      return null;
    } finally {
      this.#pending = null;
    }
  }

  #onEnd(): void {
    const { length } = this.#options;
    this.#ended = true;
    if (!this.#failure && length !== null && this.#received !== length) this.#fail('broken');
    this.#release();
  }

  #onTick(): void {
    const { client, slowUploads, now } = this.#options;
    if (this.#slow) this.#slow.seenAt = now();
    if (!this.#pending) return;
    this.#waitedMs += TICK_MS;
    this.#stalledMs += TICK_MS;
    this.#slow ??= slowUploads.begin(client, now());
    if (!this.#slow) this.#fail('crowded');
    else if (this.#stalledMs >= GRACE_MS || this.#waitedMs > GRACE_MS + this.#received / MIN_BYTES_PER_MS)
      this.#fail('slow');
  }

  #fail(failure: UploadFailure): void {
    this.#failure = failure;
    this.#release();
    this.#pending?.resolve(null);
    this.#reader.cancel().catch(() => {});
  }

  #release(): void {
    this.#over.resolve();
    clearInterval(this.#timer);
    if (this.#slow) this.#options.slowUploads.end(this.#slow);
    this.#slow = null;
  }
}

/**
 * A stream that can be opened again while it is no longer than `limit` bytes. Each opened stream first replays the kept
 * bytes, then reads on. Opening ends the stream opened before. Beyond the limit the current stream goes on to the end and
 * no other can be opened. (`tee()` would buffer without bound for the branch that is not read.)
 */
export class ReplayStream {
  readonly #source: ReadableStreamDefaultReader<Uint8Array>;
  readonly #limit: number;
  #kept: Uint8Array[] = [];
  #keptBytes = 0;
  #overflowed = false;
  #ended = false;
  #broken = false;
  #opened = 0;
  /** The pending read, which may have been started by an earlier stream. */
  #reading: Promise<void> | null = null;

  constructor(source: ReadableStream<Uint8Array>, limit: number) {
    this.#source = source.getReader();
    this.#limit = limit;
  }

  get canSend(): boolean {
    return !this.#overflowed;
  }

  /** The source failed before its end. */
  get isBroken(): boolean {
    return this.#broken;
  }

  /** The source has not delivered what was requested. */
  get isReadPending(): boolean {
    return this.#reading !== null;
  }

  /**
   * `abort` must abort the request that sends this stream. It is called when the source fails. If the stream failed
   * instead, the runtime would end the body normally, and the upstream would take half an upload for a complete one.
   */
  open(abort: () => void): ReadableStream<Uint8Array> {
    const turn = ++this.#opened;
    let next = 0;
    return new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        while (next >= this.#kept.length && !this.#ended) {
          this.#reading ??= this.#readOne();
          await this.#reading;
          if (this.#broken || turn !== this.#opened) return abort();
        }
        const chunk = this.#kept[next];
        if (!chunk) return controller.close();
        if (this.#overflowed) this.#kept[next] = EMPTY;
        next++;
        controller.enqueue(chunk);
      },
    });
  }

  async #readOne(): Promise<void> {
    try {
      const { done, value } = await this.#source.read();
      if (done) this.#ended = true;
      else {
        this.#kept.push(value);
        this.#keptBytes += value.length;
        if (this.#keptBytes > this.#limit) this.#overflowed = true;
      }
    } catch {
      this.#broken = true;
    } finally {
      this.#reading = null;
    }
  }
}

const EMPTY = new Uint8Array(0);

/**
 * A stream that can be opened again: what has been read is kept up to `limit` bytes, given out first, and reading then
 * goes on where it stopped. Opening ends the stream opened before. Past the limit it can be read to its end, not opened
 * again; a tee() would instead buffer without bound for the branch nobody reads.
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
  /** A read that the stream opened before had started. */
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

  /** More is wanted of the source than has come. */
  get isAwaited(): boolean {
    return this.#reading !== null;
  }

  /**
   * `breakOff` must end the request it is sent with. It is called where the stream cannot go on: were the stream to fail
   * instead, the runtime would write the end of a whole body, and half an upload be taken for all of it.
   */
  open(breakOff: () => void): ReadableStream<Uint8Array> {
    const turn = ++this.#opened;
    let next = 0;
    return new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        while (next >= this.#kept.length && !this.#ended) {
          this.#reading ??= this.#readOne();
          await this.#reading;
          if (this.#broken || turn !== this.#opened) return breakOff();
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

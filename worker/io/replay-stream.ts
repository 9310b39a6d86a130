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

  open(): ReadableStream<Uint8Array> {
    const turn = ++this.#opened;
    let next = 0;
    return new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        while (next >= this.#kept.length && !this.#ended) {
          this.#reading ??= this.#readOne();
          await this.#reading;
          if (turn !== this.#opened) return controller.error(new Error('sent again elsewhere'));
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
    } finally {
      this.#reading = null;
    }
  }
}

const EMPTY = new Uint8Array(0);

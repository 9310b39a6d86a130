/** The bytes of one call of the random generator, enough for about 100 requests. */
const POOL_BYTES = 4_096;
const SPAN_BYTES = 8;
const TRACE_BYTES = 16;
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/**
 * Random ids of traces and spans, from a pool of random bytes. A call of the generator for each id would cost ten times
 * as much.
 */
export class TraceIds {
  readonly #pool = new Uint8Array(POOL_BYTES);
  #used = POOL_BYTES;

  /** 32 hex digits. */
  trace(): string {
    return this.#take(TRACE_BYTES);
  }

  /** 16 hex digits. */
  span(): string {
    return this.#take(SPAN_BYTES);
  }

  /** The first byte is never zero, because an id of zeros only is invalid. */
  #take(count: number): string {
    if (this.#used + count > POOL_BYTES) {
      crypto.getRandomValues(this.#pool);
      this.#used = 0;
    }
    let text = HEX[this.#pool[this.#used] || 1] ?? '';
    for (let index = 1; index < count; index++) text += HEX[this.#pool[this.#used + index] ?? 0] ?? '';
    this.#used += count;
    return text;
  }
}

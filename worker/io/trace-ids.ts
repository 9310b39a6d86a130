/** Hex digits that one call of the random generator gives: enough for about 128 requests. */
const POOL_DIGITS = 8_192;
const SPAN_DIGITS = 16;
const TRACE_DIGITS = 32;
const DIGITS = new TextEncoder().encode('0123456789abcdef');

/**
 * Random ids of traces and spans, cut from a long text of hex digits. To call the generator or to join digits for each id
 * would cost ten times as much.
 */
export class TraceIds {
  #pool = '';
  #used = 0;

  /** 32 hex digits. */
  trace(): string {
    return this.#take(TRACE_DIGITS);
  }

  /** 16 hex digits. */
  span(): string {
    return this.#take(SPAN_DIGITS);
  }

  #take(count: number): string {
    if (this.#used + count > this.#pool.length) {
      this.#pool = randomDigits();
      this.#used = 0;
    }
    const start = this.#used;
    this.#used += count;
    return this.#pool.slice(start, this.#used);
  }
}

/** The first of each 16 digits is not zero, because an id of zeros only is invalid. */
function randomDigits(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(POOL_DIGITS / 2));
  const digits = new Uint8Array(POOL_DIGITS);
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    digits[2 * at] = DIGITS[byte >> 4] ?? 0;
    digits[2 * at + 1] = DIGITS[byte & 15] ?? 0;
  }
  for (let at = 0; at < POOL_DIGITS; at += SPAN_DIGITS)
    if (digits[at] === DIGITS[0]) digits[at] = DIGITS[1] ?? 0;
  return new TextDecoder().decode(digits);
}

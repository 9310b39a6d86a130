/** Counts how often each POST reached an instance. */
export class PostCounter {
  readonly #counts = new Map<string, number>();
  readonly #onPost: ((id: string) => void) | undefined;

  /** `onPost` receives every id in place of the counter. */
  constructor(onPost?: (id: string) => void) {
    this.#onPost = onPost;
  }

  add(id: string): void {
    if (this.#onPost) this.#onPost(id);
    else this.#counts.set(id, (this.#counts.get(id) ?? 0) + 1);
  }

  /** How many POSTs have been received more than once since the last call. */
  takeRepeated(): number {
    const repeated = [...this.#counts.values()].filter((count) => count > 1).length;
    this.#counts.clear();
    return repeated;
  }
}

/**
 * Values by two texts, such as service and site. To join the texts to one key would cost each request more: the engine
 * interns each new text that a Map is asked for.
 */
export class PairMap<V> {
  readonly #maps = new Map<string, Map<string, V>>();

  /** The value; `create` makes it when there is none. */
  getOrAdd(first: string, second: string, create: () => V): V {
    let bySecond = this.#maps.get(first);
    if (!bySecond) {
      bySecond = new Map();
      this.#maps.set(first, bySecond);
    }
    let value = bySecond.get(second);
    if (value === undefined) {
      value = create();
      bySecond.set(second, value);
    }
    return value;
  }

  values(): V[] {
    return [...this.#maps.values()].flatMap((bySecond) => [...bySecond.values()]);
  }

  get isEmpty(): boolean {
    return this.#maps.size === 0;
  }

  /** Removes the values for which `keep` is false. */
  retain(keep: (value: V) => boolean): void {
    for (const [first, bySecond] of this.#maps) {
      for (const [second, value] of bySecond) if (!keep(value)) bySecond.delete(second);
      if (bySecond.size === 0) this.#maps.delete(first);
    }
  }
}

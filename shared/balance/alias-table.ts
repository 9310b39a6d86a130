/**
 * Walker's alias method (Vose 1991): draws an index in proportion to its weight, with one random number and in constant
 * time.
 */
export class AliasTable {
  readonly #keep: Float64Array;
  readonly #other: Uint32Array;

  /** No weight may be negative, and at least one must be positive. */
  constructor(weights: readonly number[]) {
    const count = weights.length;
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    this.#keep = new Float64Array(count).fill(1);
    this.#other = new Uint32Array(count);
    const scaled = Float64Array.from(weights, (weight) => (weight * count) / total);
    const small: number[] = [];
    const large: number[] = [];
    scaled.forEach((weight, index) => {
      (weight < 1 ? small : large).push(index);
    });
    while (small.length > 0 && large.length > 0) {
      const poor = small.pop() ?? 0;
      const rich = large.at(-1) ?? 0;
      this.#keep[poor] = scaled[poor] ?? 1;
      this.#other[poor] = rich;
      scaled[rich] = (scaled[rich] ?? 1) - (1 - (scaled[poor] ?? 1));
      if ((scaled[rich] ?? 1) < 1) {
        large.pop();
        small.push(rich);
      }
    }
  }

  /** `roll` is in [0, 1). */
  draw(roll: number): number {
    const scaled = roll * this.#keep.length;
    const column = Math.floor(scaled);
    return scaled - column < (this.#keep[column] ?? 1) ? column : (this.#other[column] ?? column);
  }
}

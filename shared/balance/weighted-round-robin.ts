import type { Picker, PoolMember } from './picker.ts';

const GOLDEN_RATIO = 0.618_033_988_749_895;

/**
 * Smooth weighted round robin: in a full round each member is picked `weight` times, as evenly spaced as possible. Like
 * Envoy, it keeps the next due time of each member (1 / weight apart) in a heap, so a pick is O(log n).
 */
export function weightedRoundRobin(members: readonly PoolMember[]): Picker {
  const count = members.length;
  const schedule = new Schedule(members.map((member) => member.weight));
  let started = false;
  return ({ skip, random }) => {
    if (count === 0) return null;
    if (!started) {
      // Isolates start at different points of the round; otherwise all would begin with the heaviest member.
      for (let turns = Math.floor(random() * count); turns > 0; turns--) schedule.next();
      started = true;
    }
    for (let turn = 0; turn < count; turn++) {
      const member = members[schedule.next()];
      if (member && !skip(member.candidate)) return member.candidate;
    }
    // A skipped heavy member can take many turns in a row: pick the remaining member that is due first.
    const first = schedule.firstOf((index) => {
      const member = members[index];
      return member !== undefined && !skip(member.candidate);
    });
    return members[first]?.candidate ?? null;
  };
}

/** Indexes by due time, in a binary heap. Index `i` is due every 1 / weights[i]. */
class Schedule {
  readonly #step: Float64Array;
  readonly #due: Float64Array;
  readonly #heap: Uint32Array;

  constructor(weights: readonly number[]) {
    this.#step = Float64Array.from(weights, (weight) => 1 / weight);
    // Out of phase by the golden ratio: otherwise light members of equal weight would all be due at once.
    this.#due = this.#step.map((step, index) => step * (((index + 1) * GOLDEN_RATIO) % 1));
    this.#heap = Uint32Array.from(weights, (_, index) => index).sort((a, b) => this.#compare(a, b));
  }

  /** The index that is due first; schedules its next turn. */
  next(): number {
    const index = at(this.#heap, 0);
    this.#due[index] = at(this.#due, index) + at(this.#step, index);
    this.#sinkRoot();
    return index;
  }

  /** The matching index that is due first; -1 when none matches. */
  firstOf(matches: (index: number) => boolean): number {
    let first = -1;
    for (const index of this.#heap) {
      if ((first < 0 || this.#compare(index, first) < 0) && matches(index)) first = index;
    }
    return first;
  }

  #compare(a: number, b: number): number {
    return at(this.#due, a) - at(this.#due, b) || a - b;
  }

  #sinkRoot(): void {
    const heap = this.#heap;
    const index = at(heap, 0);
    let hole = 0;
    for (let child = 1; child < heap.length; child = 2 * hole + 1) {
      if (child + 1 < heap.length && this.#compare(at(heap, child + 1), at(heap, child)) < 0) child++;
      if (this.#compare(at(heap, child), index) >= 0) break;
      heap[hole] = at(heap, child);
      hole = child;
    }
    heap[hole] = index;
  }
}

/** Reads within bounds, which the type system cannot know. */
function at(array: Float64Array | Uint32Array, index: number): number {
  return array[index] ?? 0;
}

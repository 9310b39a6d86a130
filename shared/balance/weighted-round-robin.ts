import type { Picker, PoolMember } from './picker.ts';

const GOLDEN = 0.618_033_988_749_895;

/**
 * Smooth weighted round robin: over a full round each member is picked `weight` times, as evenly spaced as can be.
 * nginx's formulation looks at every member on every pick; this one keeps the next due time of each (1 / weight apart)
 * in a heap, as Envoy does: O(log n). Members start out of phase, by the golden ratio, so that light ones of the same
 * weight do not all come due at once and leave the heavy ones long rows of turns in between.
 */
export function weightedRoundRobin(members: readonly PoolMember[]): Picker {
  const count = members.length;
  const step = Float64Array.from(members, (member) => 1 / member.weight);
  const due = step.map((length, index) => length * (((index + 1) * GOLDEN) % 1));
  const heap = Uint32Array.from(members, (_, index) => index).sort(
    (a, b) => at(due, a) - at(due, b) || a - b,
  );

  const before = (a: number, b: number): boolean =>
    at(due, a) < at(due, b) || (at(due, a) === at(due, b) && a < b);
  /** The member due first takes its next turn, and sinks to where that puts it. */
  const take = (): number => {
    const taken = at(heap, 0);
    due[taken] = at(due, taken) + at(step, taken);
    let hole = 0;
    for (;;) {
      let child = 2 * hole + 1;
      if (child >= count) break;
      if (child + 1 < count && before(at(heap, child + 1), at(heap, child))) child++;
      if (!before(at(heap, child), taken)) break;
      heap[hole] = at(heap, child);
      hole = child;
    }
    heap[hole] = taken;
    return taken;
  };

  let phase = -1;
  return ({ skip, random }) => {
    if (count === 0) return null;
    // Isolates start at different points of the round, or all would hit the heaviest first.
    if (phase < 0) for (phase = Math.floor(random() * count); phase > 0; phase--) take();
    for (let turn = 0; turn < count; turn++) {
      const member = members[take()];
      if (member && !skip(member.candidate)) return member.candidate;
    }
    // A heavy member that is skipped can take many turns in a row: look for whoever is left, the first due.
    let first: PoolMember | undefined;
    for (let position = 0; position < count; position++) {
      const index = at(heap, position);
      const member = members[index];
      if (member && !skip(member.candidate) && (!first || before(index, members.indexOf(first))))
        first = member;
    }
    return first?.candidate ?? null;
  };
}

/** Typed arrays are read within bounds here; the type system cannot know. */
function at(array: Float64Array | Uint32Array, index: number): number {
  return array[index] ?? 0;
}

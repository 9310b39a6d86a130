import type { Picker, PickerState, PoolMember } from './picker.ts';

/** One after another, whatever the weights. A member on probation is passed over in all but its share of the rounds. */
export function roundRobin(members: readonly PoolMember[], memory: PickerState): Picker {
  return (input) => {
    const count = members.length;
    for (let step = 0; step < 2 * count; step++) {
      const member = members[memory.cursor++ % count];
      if (!member || input.skip(member.candidate)) continue;
      // In a second round nobody else is left: take it.
      if (member.share < 1 && step < count && input.random() >= member.share) continue;
      return member.candidate;
    }
    return null;
  };
}

import type { Picker, PickerState, PoolMember } from './picker.ts';

/** Members take turns; weights are ignored. A member on probation is picked only in its share of the rounds. */
export function roundRobin(members: readonly PoolMember[], state: PickerState): Picker {
  return (input) => {
    const count = members.length;
    for (let step = 0; step < 2 * count; step++) {
      const member = members[state.cursor++ % count];
      if (!member || input.skip(member.candidate)) continue;
      // In the second round no other member is left.
      if (member.share < 1 && step < count && input.random() >= member.share) continue;
      return member.candidate;
    }
    return null;
  };
}

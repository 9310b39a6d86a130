import { AliasTable } from './alias-table.ts';
import type { Candidate } from './candidate.ts';
import type { Picker, PickInput, PoolMember } from './picker.ts';

/** Picks in proportion to weight. */
export function weightedRandom(members: readonly PoolMember[]): Picker {
  const draw = weightedDraw(members);
  return (input) => draw(input);
}

/** Draws before a scan of the members that remain; with half of them skipped, one pick in 16 needs the scan. */
const MAX_DRAWS = 4;

/** Draws a member by weight, without the skipped ones. */
export function weightedDraw(members: readonly PoolMember[]): Picker {
  const only = members.length === 1 ? members[0] : undefined;
  if (only) return ({ skip }) => (skip(only.candidate) ? null : only.candidate);
  if (members.length === 0) return () => null;
  const table = new AliasTable(members.map((member) => member.weight));
  return (input) => {
    for (let attempt = 0; attempt < MAX_DRAWS; attempt++) {
      const member = members[table.draw(input.random())];
      if (member && !input.skip(member.candidate)) return member.candidate;
    }
    return drawAmongRest(members, input);
  };
}

function drawAmongRest(members: readonly PoolMember[], input: PickInput): Candidate | null {
  let total = 0;
  let chosen: Candidate | null = null;
  // Weighted reservoir sampling: each replaces the choice with probability weight / total so far.
  for (const { candidate, weight } of members) {
    if (input.skip(candidate)) continue;
    total += weight;
    if (input.random() * total < weight) chosen = candidate;
  }
  return chosen;
}

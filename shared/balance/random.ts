import { AliasTable } from './alias-table.ts';
import type { Candidate } from './candidate.ts';
import type { Picker, PickInput, PoolMember } from './picker.ts';

/** In proportion to weight. */
export function weightedRandom(members: readonly PoolMember[]): Picker {
  const draw = weightedDraw(members);
  return (input) => draw(input);
}

/** Redraws at most this often before it looks for what is left: with half skipped, one pick in 16 gets that far. */
const REDRAWS = 4;

/** One weighted draw that skips; shared by every strategy that samples. */
export function weightedDraw(members: readonly PoolMember[]): Picker {
  const only = members.length === 1 ? members[0] : undefined;
  if (only) return ({ skip }) => (skip(only.candidate) ? null : only.candidate);
  if (members.length === 0) return () => null;
  const table = new AliasTable(members.map((member) => member.weight));
  return (input) => {
    for (let redraw = 0; redraw < REDRAWS; redraw++) {
      const member = members[table.draw(input.random())];
      if (member && !input.skip(member.candidate)) return member.candidate;
    }
    return drawAmongRest(members, input);
  };
}

function drawAmongRest(members: readonly PoolMember[], input: PickInput): Candidate | null {
  let total = 0;
  let chosen: Candidate | null = null;
  // Weighted reservoir of one: keeps each with probability weight / sum so far.
  for (const { candidate, weight } of members) {
    if (input.skip(candidate)) continue;
    total += weight;
    if (input.random() * total < weight) chosen = candidate;
  }
  return chosen;
}

import { mix } from '../hash.ts';
import type { Candidate } from './candidate.ts';
import type { Picker, PickInput, PoolMember } from './picker.ts';

/**
/** A member with more than this times the average of requests in flight is skipped. */
const LOAD_FACTOR = 1.25;

/**
 * Rendezvous hashing with bounded load (Mirrokni, Thorup, Zadimoghaddam 2016): skips a member with more than
 * ceil(1.25 · pending / n) requests in flight, so that one hot key cannot overload its instance.
 */
export function consistentHash(members: readonly PoolMember[]): Picker {
  const place = rendezvous(members);
  const count = members.length;
  return (input) => {
    const home = place(input.keyHash, input.skip);
    // Fast path: the bound is at least 1.
    if (!home || home.local.pending <= 1) return home;
    let pending = 0;
    for (const { candidate } of members) pending += candidate.local.pending;
    const bound = Math.ceil((LOAD_FACTOR * (pending + 1)) / count);
    if (home.local.pending < bound) return home;
    return (
      place(input.keyHash, (candidate) => candidate.local.pending >= bound || input.skip(candidate)) ?? home
    );
  };
}

/** Members of equal weight. */
interface WeightGroup {
  weight: number;
  candidates: readonly Candidate[];
  hashes: Uint32Array;
}

/**
 * Weighted rendezvous hashing: picks the member with the greatest −w / ln(h), where h in (0, 1) is a hash of key and
 * instance. Removing one of n members moves only its keys. Members of equal weight compare by h, so a pick needs one
 * logarithm per distinct weight.
 */
export function rendezvous(
  members: readonly Pick<PoolMember, 'candidate' | 'weight'>[],
): (keyHash: number, skip: PickInput['skip']) => Candidate | null {
  const groups = [...Map.groupBy(members, (member) => member.weight)].map(
    ([weight, group]): WeightGroup => ({
      weight,
      candidates: group.map(({ candidate }) => candidate),
      hashes: Uint32Array.from(group, ({ candidate }) => candidate.hash),
    }),
  );
  return (keyHash, skip) => {
    let winner: Candidate | null = null;
    let winnerScore = -1;
    for (const group of groups) {
      const index = greatestHash(group, keyHash, skip);
      if (index < 0) continue;
      const hash = mix(keyHash ^ (group.hashes[index] ?? 0));
      const score = -group.weight / Math.log((hash + 0.5) / 2 ** 32);
      if (score <= winnerScore) continue;
      winner = group.candidates[index] ?? null;
      winnerScore = score;
    }
    return winner;
  };
}

/** Index of the group's member with the greatest hash; -1 when all are skipped. */
function greatestHash({ candidates, hashes }: WeightGroup, keyHash: number, skip: PickInput['skip']): number {
  let best = -1;
  let bestHash = -1;
  for (let index = 0; index < hashes.length; index++) {
    const hash = mix(keyHash ^ (hashes[index] ?? 0));
    if (hash <= bestHash) continue;
    const candidate = candidates[index];
    if (!candidate || skip(candidate)) continue;
    best = index;
    bestHash = hash;
  }
  return best;
}

import { mix } from '../hash.ts';
import type { Candidate } from './candidate.ts';
import type { Picker, PickInput, PoolMember } from './picker.ts';

/**
 * Weighted rendezvous hashing: of all members the one with the greatest −w / ln(h), h in (0, 1) from key and instance.
 * Taking one of n away moves only its own keys. With bounded load (Mirrokni, Thorup, Zadimoghaddam 2016): a member
 * above ceil(1.25 · pending / n) is passed over, so one hot key cannot bury its instance.
 */
const LOAD_FACTOR = 1.25;

export function consistentHash(members: readonly PoolMember[]): Picker {
  const place = rendezvous(members);
  const count = members.length;
  return (input) => {
    const home = place(input.keyHash, input.skip);
    // One request in flight is within any bound: the sum over all members is only needed beyond.
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

/**
 * Members of equal weight compare by `h` alone, so one logarithm per distinct weight is enough, whatever the number of
 * members.
 */
export function rendezvous(
  members: readonly Pick<PoolMember, 'candidate' | 'weight'>[],
): (keyHash: number, skip: PickInput['skip']) => Candidate | null {
  const groups = [...Map.groupBy(members, (member) => member.weight)].map(([weight, group]) => ({
    weight,
    candidates: group.map(({ candidate }) => candidate),
    hashes: Uint32Array.from(group, ({ candidate }) => candidate.hash),
  }));
  return (keyHash, skip) => {
    let winner: Candidate | null = null;
    let winnerScore = -1;
    for (const { weight, candidates, hashes } of groups) {
      let best: Candidate | null = null;
      let bestHash = -1;
      for (let index = 0; index < hashes.length; index++) {
        const hash = mix(keyHash ^ (hashes[index] ?? 0));
        if (hash <= bestHash) continue;
        const candidate = candidates[index];
        if (!candidate || skip(candidate)) continue;
        best = candidate;
        bestHash = hash;
      }
      if (!best) continue;
      const score = -weight / Math.log((bestHash + 0.5) / 2 ** 32);
      if (score > winnerScore) {
        winner = best;
        winnerScore = score;
      }
    }
    return winner;
  };
}

import { elapsedMs } from '../elapsed.ts';
import { mix } from '../hash.ts';
import type { Candidate } from './candidate.ts';
import type { Picker, PickInput, PoolMember } from './picker.ts';
import { PointRing } from './point-ring.ts';

/** A member with more than this times its share of the requests in flight is skipped. */
const LOAD_FACTOR = 1.25;

/**
 * Consistent hashing on a ring of points (`PointRing`) with bounded load (Mirrokni, Thorup, Zadimoghaddam 2016): skips a
 * member with ceil(1.25 · pending · w / Σw) or more requests in flight, so that one hot key cannot overload its instance.
 * The ring is built by the first pick: a view whose requests all go through a gateway needs none.
 */
export function consistentHash(members: readonly PoolMember[]): Picker {
  let built: HashPlacer | null = null;
  return (input) => {
    built ??= new HashPlacer(members);
    return built.pick(input);
  };
}

class HashPlacer {
  readonly #ring: PointRing;
  readonly #amongRest: ReturnType<typeof rendezvous>;
  readonly #pendingOf: (now: number) => number;
  readonly #totalWeight: number;
  readonly #weightOf: ReadonlyMap<Candidate, number>;
  readonly #maxSkips: number;

  constructor(members: readonly PoolMember[]) {
    this.#ring = new PointRing(members);
    this.#amongRest = rendezvous(members);
    this.#pendingOf = totalPending(members);
    this.#totalWeight = members.reduce((sum, { weight }) => sum + weight, 0);
    this.#weightOf = new Map(members.map(({ candidate, weight }) => [candidate, weight]));
    this.#maxSkips = 1_000 + members.length;
  }

  pick({ keyHash, skip, now }: PickInput): Candidate | null {
    const home = this.#ring.find(keyHash);
    if (!home) return null;
    const isSkipped = skip(home);
    // Fast path: the bound is at least 1.
    if (!isSkipped && home.local.pending <= 1) return home;
    const perWeight = (LOAD_FACTOR * (this.#pendingOf(now) + 1)) / this.#totalWeight;
    const isFull = (one: Candidate): boolean =>
      one.local.pending >= Math.ceil(perWeight * (this.#weightOf.get(one) ?? 0));
    if (!isSkipped && !isFull(home)) return home;
    const other = this.#placeAmongRest(keyHash, (one) => skip(one) || isFull(one));
    return other ?? (isSkipped ? this.#placeAmongRest(keyHash, skip) : home);
  }

  /** A search that meets almost only skipped members ends in a scan of all. */
  #placeAmongRest(keyHash: number, skip: PickInput['skip']): Candidate | null {
    const found = this.#ring.findAmongRest(keyHash, skip, this.#maxSkips);
    return found === undefined ? this.#amongRest(keyHash, skip) : found;
  }
}

/** Requests in flight are counted again after this time, or after one pick per 64 members. */
const RECOUNT_MS = 100;
const MEMBERS_PER_PICK = 64;

/** The requests in flight on all members. With at most 64 members exact, else up to 100 ms old. */
function totalPending(members: readonly PoolMember[]): (now: number) => number {
  let total = 0;
  let countedAt = 0;
  let picks = 0;
  return (now) => {
    picks++;
    if (picks * MEMBERS_PER_PICK < members.length && elapsedMs(countedAt, now) < RECOUNT_MS) return total;
    picks = 0;
    countedAt = now;
    total = 0;
    for (const { candidate } of members) total += candidate.local.pending;
    return total;
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

import { mix } from '../hash.ts';
import type { Candidate } from './candidate.ts';
import type { PickInput, PoolMember } from './picker.ts';

/** Points of each member on the ring. More points: shares closer to the weights, a slower build. */
const POINTS = 24;
/** Positions at which a key looks at the ring. More probes: shares closer to the weights, a slower pick. */
const PROBES = 8;
const GOLDEN = 0x9e3779b9;
/** Small, to keep the index of the buckets in the processor's cache. */
const POINTS_PER_BUCKET = 4;
/**
 * Keys with equal high bits form a slot and have the same member. There are 2²⁰ slots: about 100 for each of 10,000
 * members.
 */
const SLOT_SHIFT = 12;
/** With fewer members a search is so short that it does not justify a table of 2 MB. */
const REMEMBER_FROM = 64;

type SkipMember = PickInput['skip'];

/** A search under way: the nearest member so far, and how many points of skipped members it may still meet. */
interface Search {
  best: number;
  score: number;
  readonly skip: SkipMember | null;
  skipsLeft: number;
}

/**
 * Weighted multi-probe consistent hashing (Appleton and O'Reilly 2015; distances divided by weight as in Schindelhauer
 * and Schomaker 2005). Each member has points on a ring of 2³² positions, which depend on its key alone. A key looks at
 * 8 positions and takes the member with the smallest distance ÷ weight of any point behind them. So it has two
 * properties of rendezvous hashing exactly; a Maglev table only approximates them: a member that leaves, or whose
 * weight falls, moves only its own keys; a member that joins, or whose weight grows, takes keys and moves no others. A
 * pick visits about 8 points, whatever the number of members. Keys fall into fixed slots. The ring remembers the member
 * of each slot after its first search, so most picks read one number.
 */
export class PointRing {
  readonly #candidates: readonly Candidate[];
  readonly #weights: Float64Array;
  readonly #maxWeight: number;
  /** The points by position: position, member, position, member … Together, so that a visit reads one cache line. */
  readonly #points: Uint32Array;
  /** The first point of each bucket, as an index in `#points`; a bucket is a range of positions with equal high bits. */
  readonly #starts: Uint32Array;
  readonly #shift: number;
  /** The member of each slot plus 1; 0 before the first search. Null with few members. */
  readonly #remembered: Uint16Array | Uint32Array | null;

  constructor(members: readonly Pick<PoolMember, 'candidate' | 'weight'>[]) {
    this.#candidates = members.map(({ candidate }) => candidate);
    this.#weights = Float64Array.from(members, ({ weight }) => weight);
    this.#maxWeight = this.#weights.reduce((max, weight) => Math.max(max, weight), 0);
    const count = members.length * POINTS;
    this.#shift = Math.min(31, Math.clz32(count / POINTS_PER_BUCKET));
    this.#starts = new Uint32Array(2 ** (32 - this.#shift) + 1);
    this.#points = new Uint32Array(2 * count);
    this.#sort(this.#countPoints());
    this.#remembered = members.length < REMEMBER_FROM ? null : slotTable(members.length);
  }

  /** The position of every point, and the start of each bucket. */
  #countPoints(): Uint32Array {
    const starts = this.#starts;
    const positions = new Uint32Array(this.#points.length / 2);
    let index = 0;
    for (const { hash } of this.#candidates) {
      for (let point = 0; point < POINTS; point++) {
        const position = mix(hash + Math.imul(point, GOLDEN));
        positions[index++] = position;
        const bucket = (position >>> this.#shift) + 1;
        starts[bucket] = (starts[bucket] ?? 0) + 2;
      }
    }
    for (let bucket = 1; bucket < starts.length; bucket++) {
      starts[bucket] = (starts[bucket] ?? 0) + (starts[bucket - 1] ?? 0);
    }
    return positions;
  }

  /** Counting sort by bucket, insertion sort inside a bucket. */
  #sort(positions: Uint32Array): void {
    const points = this.#points;
    const ends = this.#starts.slice(0, -1);
    for (let index = 0; index < positions.length; index++) {
      const position = positions[index] ?? 0;
      const bucket = position >>> this.#shift;
      const start = this.#starts[bucket] ?? 0;
      let at = ends[bucket] ?? 0;
      ends[bucket] = at + 2;
      for (; at > start && (points[at - 2] ?? 0) > position; at -= 2) {
        points[at] = points[at - 2] ?? 0;
        points[at + 1] = points[at - 1] ?? 0;
      }
      points[at] = position;
      points[at + 1] = Math.floor(index / POINTS);
    }
  }

  /** The member of a key; null when there are no members. */
  find(keyHash: number): Candidate | null {
    const slot = keyHash >>> SLOT_SHIFT;
    const remembered = this.#remembered?.[slot] ?? 0;
    if (remembered > 0) return this.#candidates[remembered - 1] ?? null;
    const search = this.#search(slot, null, 0);
    if (this.#remembered) this.#remembered[slot] = search.best + 1;
    return this.#candidates[search.best] ?? null;
  }

  /**
   * The member that a key would have if the skipped ones did not exist; null when all are skipped. `undefined`: the
   * search met `maxSkips` points of skipped members, so nearly all are skipped.
   */
  findAmongRest(keyHash: number, skip: SkipMember | null, maxSkips: number): Candidate | null | undefined {
    const search = this.#search(keyHash >>> SLOT_SHIFT, skip, maxSkips);
    return search.skipsLeft < 0 ? undefined : (this.#candidates[search.best] ?? null);
  }

  #search(slot: number, skip: SkipMember | null, maxSkips: number): Search {
    const search: Search = { best: -1, score: Number.POSITIVE_INFINITY, skip, skipsLeft: maxSkips };
    for (let probe = 0; probe < PROBES; probe++) {
      this.#probe(mix(slot + Math.imul(probe, GOLDEN)), search);
      // No members, a whole turn of skipped members, or too many skipped members.
      if (search.best < 0 || search.skipsLeft < 0) break;
    }
    return search;
  }

  /** Searches from a position on, until no point can have a smaller score. */
  #probe(from: number, search: Search): void {
    const points = this.#points;
    let at = this.#firstBehind(from);
    for (let seen = 0; seen < points.length; seen += 2) {
      const distance = ((points[at] ?? 0) - from) >>> 0;
      if (distance >= search.score * this.#maxWeight) return;
      const owner = points[at + 1] ?? 0;
      const score = distance / (this.#weights[owner] ?? 1);
      if (score < search.score && !this.#isSkipped(owner, search)) {
        search.best = owner;
        search.score = score;
      }
      if (search.skipsLeft < 0) return;
      at = at + 2 === points.length ? 0 : at + 2;
    }
  }

  #isSkipped(owner: number, search: Search): boolean {
    const candidate = this.#candidates[owner];
    if (!search.skip || !candidate || !search.skip(candidate)) return false;
    search.skipsLeft--;
    return true;
  }

  /** The first point at or behind a position, as an index in `#points`. */
  #firstBehind(position: number): number {
    const bucket = position >>> this.#shift;
    const end = this.#starts[bucket + 1] ?? 0;
    let at = this.#starts[bucket] ?? 0;
    while (at < end && (this.#points[at] ?? 0) < position) at += 2;
    return at === this.#points.length ? 0 : at;
  }
}

const slotTable = (members: number): Uint16Array | Uint32Array =>
  new (members < 2 ** 16 ? Uint16Array : Uint32Array)(2 ** (32 - SLOT_SHIFT));

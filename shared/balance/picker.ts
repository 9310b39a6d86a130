import type { Candidate } from './candidate.ts';

/** A candidate with the weight it has right now: its own times its slow-start share. */
export interface PoolMember {
  readonly candidate: Candidate;
  readonly weight: number;
  /** Slow-start share, 0–1. */
  readonly share: number;
}

/** True for a candidate that must not be picked now: tried already, or ejected. */
export type Skip = (candidate: Candidate) => boolean;

export interface PickInput {
  now: number;
  /** In [0, 1). */
  random: () => number;
  /** Hash of the session or client, for `consistent_hash`. */
  keyHash: number;
  skip: Skip;
}

/** Chooses one member, or null when all are to be skipped. */
export type Picker = (input: PickInput) => Candidate | null;

/** Small state that outlives a rebuild of the members, such as a rotation's position. */
export interface PickerState {
  cursor: number;
}

import type { Candidate } from './candidate.ts';

/** A candidate with its current weight: the configured weight times the slow-start share. */
export interface PoolMember {
  readonly candidate: Candidate;
  readonly weight: number;
  /** Slow-start share, 0–1. */
  readonly share: number;
}

/** True for a candidate that must not be picked: it is ejected or was already tried. */
type Skip = (candidate: Candidate) => boolean;

export interface PickInput {
  now: number;
  /** In [0, 1). */
  random: () => number;
  /** Hash of the session or client, for `consistent_hash`. */
  keyHash: number;
  skip: Skip;
}

/** Picks one member; null when all are skipped. */
export type Picker = (input: PickInput) => Candidate | null;

/** State that is kept when the pool is rebuilt: the position of a rotation. */
export interface PickerState {
  cursor: number;
}

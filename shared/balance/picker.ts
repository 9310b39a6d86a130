import type { Strategy } from '../config/config.ts';
import type { Candidate } from './candidate.ts';
import { consistentHash } from './consistent-hash.ts';
import { leastConnections, leastResponseTime } from './power-of-two.ts';
import { random } from './random.ts';
import { roundRobin } from './round-robin.ts';
import { weightedRoundRobin } from './weighted-round-robin.ts';

/** A candidate with the weight it has right now: its own times its slow-start share. */
export interface Member {
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
export interface PickerMemory {
  cursor: number;
}

const STRATEGIES: Record<Strategy, (members: readonly Member[], memory: PickerMemory) => Picker> = {
  least_response_time: leastResponseTime,
  least_connections: leastConnections,
  round_robin: roundRobin,
  weighted_round_robin: weightedRoundRobin,
  consistent_hash: consistentHash,
  random,
};

export function createPicker(strategy: Strategy, members: readonly Member[], memory: PickerMemory): Picker {
  return STRATEGIES[strategy](members, memory);
}

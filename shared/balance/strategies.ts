import type { Strategy } from '../config/config.ts';
import { consistentHash } from './consistent-hash.ts';
import type { Picker, PickerState, PoolMember } from './picker.ts';
import { leastConnections, leastResponseTime } from './power-of-two.ts';
import { weightedRandom } from './random.ts';
import { roundRobin } from './round-robin.ts';
import { weightedRoundRobin } from './weighted-round-robin.ts';

const STRATEGIES: Record<Strategy, (members: readonly PoolMember[], state: PickerState) => Picker> = {
  least_response_time: leastResponseTime,
  least_connections: leastConnections,
  round_robin: roundRobin,
  weighted_round_robin: weightedRoundRobin,
  consistent_hash: consistentHash,
  random: weightedRandom,
};

/** Throws when a snapshot names a strategy that this version does not have. */
export function requireStrategy(strategy: Strategy): void {
  if (!Object.hasOwn(STRATEGIES, strategy)) throw new Error(`unknown strategy "${strategy}"`);
}

export function createPicker(strategy: Strategy, members: readonly PoolMember[], state: PickerState): Picker {
  return STRATEGIES[strategy](members, state);
}

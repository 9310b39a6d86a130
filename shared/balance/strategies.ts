import type { Strategy } from '../config/config.ts';
import { consistentHash } from './consistent-hash.ts';
import type { Member, Picker, PickerMemory } from './picker.ts';
import { leastConnections, leastResponseTime } from './power-of-two.ts';
import { random } from './random.ts';
import { roundRobin } from './round-robin.ts';
import { weightedRoundRobin } from './weighted-round-robin.ts';

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

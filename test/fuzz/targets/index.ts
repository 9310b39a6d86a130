import type { FuzzTarget } from '../target.ts';
import { AGENT_TARGETS } from './agent.ts';
import { ANSWER_TARGETS } from './answers.ts';
import { CONFIGURATION_TARGETS } from './configuration.ts';
import { DISCOVERY_TARGETS } from './discovery.ts';
import { EDGE_TARGETS } from './edge.ts';
import { GATEWAY_TARGETS } from './gateway.ts';

/** Every parser that reads bytes from outside. */
export const FUZZ_TARGETS: readonly FuzzTarget[] = [
  ...CONFIGURATION_TARGETS,
  ...EDGE_TARGETS,
  ...GATEWAY_TARGETS,
  ...AGENT_TARGETS,
  ...DISCOVERY_TARGETS,
  ...ANSWER_TARGETS,
];

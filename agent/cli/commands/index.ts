import type { Command } from 'commander';
import { registerCheck } from './check.ts';
import { registerEdge } from './edge.ts';
import { registerEvents } from './events.ts';
import { registerRegistry } from './registry.ts';
import { registerSessions } from './sessions.ts';
import { registerStatus } from './status.ts';
import { registerSteer } from './steer.ts';

/** Every command, in the order `--help` lists them. One file each; heavy imports belong inside the action. */
export function registerCommands(program: Command): void {
  registerStatus(program);
  registerEvents(program);
  registerSteer(program);
  registerRegistry(program);
  registerSessions(program);
  registerCheck(program);
  registerEdge(program);
}

import type { Command } from 'commander';
import { registerCheck } from './check.ts';
import { registerEdge } from './edge.ts';
import { registerEvents } from './events.ts';
import { registerKeys } from './keys.ts';
import { registerRegistry } from './registry.ts';
import { registerRender } from './render.ts';
import { registerRun } from './run.ts';
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
  registerRender(program);
  registerKeys(program);
  registerRun(program);
  registerEdge(program);
}

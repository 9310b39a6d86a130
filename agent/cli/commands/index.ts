import type { Command } from 'commander';
import { registerCheck } from './check.ts';

/** Every command, in the order `--help` lists them. One file each; heavy imports belong inside the action. */
export function registerCommands(program: Command): void {
  registerCheck(program);
}

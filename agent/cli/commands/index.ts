import type { Command } from 'commander';
import { registerAlerts } from './alerts.ts';
import { registerApply } from './apply.ts';
import { registerCapacity } from './capacity.ts';
import { registerCheck } from './check.ts';
import { registerCompletion } from './completion.ts';
import { registerDoctor } from './doctor.ts';
import { registerEdge } from './edge.ts';
import { registerEvents } from './events.ts';
import { registerExplain } from './explain.ts';
import { registerKeys } from './keys.ts';
import { registerMigrate } from './migrate.ts';
import { registerPublish } from './publish.ts';
import { registerRegistry } from './registry.ts';
import { registerRelease } from './release.ts';
import { registerRender } from './render.ts';
import { registerReport } from './report.ts';
import { registerRun } from './run.ts';
import { registerSessions } from './sessions.ts';
import { registerStatus } from './status.ts';
import { registerSteer } from './steer.ts';

/** Every command, in the order `--help` lists them. One file each; heavy imports belong inside the action. */
export function registerCommands(program: Command): void {
  registerStatus(program);
  registerEvents(program);
  registerExplain(program);
  registerSteer(program);
  registerRegistry(program);
  registerSessions(program);
  registerAlerts(program);
  registerReport(program);
  registerCapacity(program);
  registerDoctor(program);
  registerCheck(program);
  registerApply(program);
  registerRender(program);
  registerPublish(program);
  registerKeys(program);
  registerMigrate(program);
  registerRelease(program);
  registerRun(program);
  registerEdge(program);
  registerCompletion(program);
}

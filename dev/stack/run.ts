import { accessSync, chmodSync, constants, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { deriveConfig } from '../../agent/cli/local-stack.ts';
import { EnvironmentError, readEnvironment } from '../../agent/env.ts';
import { makeFolder } from '../../agent/lib/make-folder.ts';
import type { Config } from '../../shared/config/config.ts';
import { missingServers } from '../bootstrap/servers.mjs';
import { type StackOptions, UsageError } from '../options.mjs';
import { createPrivateFolder, removeFolder } from '../servers/folder.ts';
import { layoutOf, requiredPorts, requireFreePorts } from './layout.ts';
import { ProcessRecord, stopLeftovers } from './process-record.ts';
import { loadSecrets } from './secrets.ts';
import { agentVariables, type StackContext } from './services.ts';
import { LocalStack } from './stack.ts';

export interface StackInput {
  root: string;
  options: StackOptions;
  text: string;
  config: Config;
}

/** Runs the stack until a stop signal and returns the exit code. Throws UsageError before anything is started. */
export async function runStack({ root, options, text, config }: StackInput): Promise<number> {
  const stateDir = resolve(options.stateDir);
  requireFolder(stateDir);
  const recordFile = join(stateDir, 'processes.json');
  const other = await stopLeftovers(recordFile);
  if (other) throw new UsageError(alreadyRunning(other, options));
  rmSync(join(stateDir, 'stack.json'), { force: true });

  const runFolder = createPrivateFolder('acgs');
  // As root, Postgres runs as another user and needs to traverse this folder. Its contents stay private.
  chmodSync(runFolder, 0o711);
  try {
    const layout = layoutOf(root, options, runFolder);
    const derived = deriveConfig(text, config, {
      portOffset: options.portOffset,
      moveInstances: options.demo,
      runFolder,
    });
    const missing = missingServers({ embedded: options.embedded });
    const servers = {
      haproxy: !missing.includes('haproxy'),
      redis: !options.embedded && !missing.includes('redis'),
      postgres: !options.embedded && !missing.includes('postgres'),
    };
    const ports = requiredPorts(derived, layout, options.demo, {
      ...servers,
      inspector: options.edge === 'wrangler',
    });
    await requireFreePorts(ports, options);
    const secrets = loadSecrets(join(stateDir, 'secrets.env'), config.site.id);
    checkEnvironment({ layout, secrets }, derived.config);
    const record = new ProcessRecord(recordFile);
    record.addFolder(runFolder);
    return await new LocalStack({ layout, derived, secrets, options }, servers, record).run();
  } finally {
    rmSync(recordFile, { force: true });
    removeFolder(runFolder);
  }
}

/** The agent would refuse to start after the servers have started. */
function checkEnvironment(context: Pick<StackContext, 'layout' | 'secrets'>, config: Config): void {
  try {
    readEnvironment({ ...process.env, ...agentVariables(context, { redis: null, postgres: null }) }, config);
  } catch (error) {
    if (error instanceof EnvironmentError) throw new UsageError(error.message, { cause: error });
    throw error;
  }
}

function requireFolder(path: string): void {
  try {
    makeFolder(path);
    accessSync(path, constants.W_OK);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new UsageError(`--state-dir ${path} cannot be used as a folder: ${code}`, { cause });
  }
}

function alreadyRunning(pid: number, { stateDir }: StackOptions): string {
  return `a stack (pid ${pid}) already runs with state folder ${stateDir}; start a second one with --port-offset 100 --state-dir .acgs-2`;
}

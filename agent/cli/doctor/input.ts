import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import type { Config } from '../../../shared/config/config.ts';
import { CliUsageError } from '../errors.ts';
import { type RunningStack, readStackFile } from '../stack-file.ts';

/** Input of the checks. */
export interface DoctorInput {
  stateDir: string;
  stack: RunningStack | null;
  configFile: string;
  config: Config;
  env: NodeJS.ProcessEnv;
  fetch: typeof globalThis.fetch;
  now: () => number;
}

async function readEnvFile(envFile: string): Promise<string> {
  return readFile(envFile, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new CliUsageError(`--env-file ${envFile} cannot be read: ${cause.code}`, { cause });
  });
}

/** The environment of the agent: this process, overridden by the secrets of a local stack, overridden by --env-file. */
export async function loadAgentEnvironment(options: {
  stateDir: string;
  envFile?: string | undefined;
  env: NodeJS.ProcessEnv;
}): Promise<{ env: NodeJS.ProcessEnv; stack: RunningStack | null }> {
  const { stateDir, envFile, env } = options;
  const fromFile = envFile === undefined ? {} : parseEnv(await readEnvFile(envFile));
  const stack = env.ACGS_AGENT_URL ? null : await readStackFile(stateDir);
  if (!stack) return { env: { ...env, ...fromFile }, stack };
  const stackSecrets = parseEnv(await readFile(join(stateDir, 'secrets.env'), 'utf8').catch(() => ''));
  return {
    stack,
    env: {
      ...env,
      ...stackSecrets,
      ...(stack.redis ? { REDIS_URL: stack.redis } : {}),
      ...(stack.postgres ? { DATABASE_URL: stack.postgres } : {}),
      ...fromFile,
    },
  };
}

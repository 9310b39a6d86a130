import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import type { Config } from '../../../shared/config/config.ts';
import { Misuse } from '../errors.ts';
import { readStack, type Stack } from '../stack.ts';

/** What the checks are made about. */
export interface Facts {
  stateDir: string;
  stack: Stack | null;
  configFile: string;
  config: Config;
  env: NodeJS.ProcessEnv;
  fetch: typeof globalThis.fetch;
  now: () => number;
}

async function textOf(envFile: string): Promise<string> {
  return readFile(envFile, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new Misuse(`--env-file ${envFile} cannot be read: ${cause.code}`, { cause });
  });
}

/** The environment the agent runs with: this one, an --env-file over it, and what a local stack made for itself. */
export async function gatherEnvironment(options: {
  stateDir: string;
  envFile?: string | undefined;
  env: NodeJS.ProcessEnv;
}): Promise<{ env: NodeJS.ProcessEnv; stack: Stack | null }> {
  const { stateDir, envFile, env } = options;
  const fromFile = envFile === undefined ? {} : parseEnv(await textOf(envFile));
  const stack = env.ACGS_AGENT_URL ? null : await readStack(stateDir);
  if (!stack) return { env: { ...env, ...fromFile }, stack };
  const made = parseEnv(await readFile(join(stateDir, 'secrets.env'), 'utf8').catch(() => ''));
  return {
    stack,
    env: {
      ...env,
      ...made,
      ...(stack.redis ? { REDIS_URL: stack.redis } : {}),
      ...(stack.postgres ? { DATABASE_URL: stack.postgres } : {}),
      ...fromFile,
    },
  };
}

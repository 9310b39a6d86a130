import { readFileSync } from 'node:fs';
import type { DoctorInput } from '../../agent/cli/doctor/input.ts';
import { parseConfig } from '../../shared/config/load.ts';

/** The input of `doctor` for a host with the shipped configuration and this environment. */
export function doctorFacts(env: NodeJS.ProcessEnv): DoctorInput {
  const configFile = new URL('../../acgs-lb.yaml', import.meta.url);
  return {
    stateDir: '/nowhere',
    stack: null,
    configFile: configFile.pathname,
    env,
    config: parseConfig(readFileSync(configFile, 'utf8')),
    fetch: globalThis.fetch,
    now: Date.now,
  };
}

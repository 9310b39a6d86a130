import type { Config } from '../../shared/config/config.ts';
import { errorMessage } from '../../shared/error-message.ts';
import type { PreviousConfigs } from '../configuration/previous.ts';
import type { Environment } from '../core/environment.ts';
import type { Log } from '../lib/log.ts';

export interface AgentOptions {
  config: Config;
  /** The text of `config`. */
  configText: string;
  /** The operator's file. A configuration set through the API is written there. */
  configPath: string;
  env: Environment;
  /** Throws if the environment lacks a variable that this configuration needs. */
  checkEnvironment(config: Config): void;
  stateDir: string;
  version: string;
  log: Log;
}

/** The current configuration, and what never changes while the agent runs. */
export interface Setup extends Omit<AgentOptions, 'config'> {
  startedAt: number;
  previousConfigs: PreviousConfigs;
  config(): Config;
  setConfig(config: Config): void;
}

export const logError = (log: Log, message: string) => (error: unknown) =>
  log.error({ error: errorMessage(error) }, message);

import { existsSync } from 'node:fs';

const CONFIG_PATHS = ['acgs-lb.yaml', '/etc/acgs-lb/acgs-lb.yaml'] as const;

/** `--config` if given, else the first existing path, else the first path, so that the error names it. */
export const resolveConfigPath = (
  configOption: string | undefined,
  preferred: readonly string[] = [],
): string =>
  configOption ?? [...preferred, ...CONFIG_PATHS].find((path) => existsSync(path)) ?? CONFIG_PATHS[0];

export const CONFIG_OPTION = '-c, --config <file>';
export const CONFIG_DESCRIPTION = `configuration file (default: ${CONFIG_PATHS.join(', else ')})`;
/** For commands that prefer the configuration of a local stack. */
export const STACK_CONFIG_DESCRIPTION = `configuration file (default: acgs-lb.yaml of the state folder, else ${CONFIG_PATHS.join(', else ')})`;

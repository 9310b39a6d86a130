import { existsSync } from 'node:fs';

/** Where an operator's file is looked for, the first that is there: in this folder, then the machine's. */
export const CONFIG_PATHS = ['acgs-lb.yaml', '/etc/acgs-lb/acgs-lb.yaml'] as const;

/** `--config`, else the first of the places that is there; where none is, the first, so that its absence is told. */
export const resolveConfigPath = (given: string | undefined, before: readonly string[] = []): string =>
  given ?? [...before, ...CONFIG_PATHS].find((place) => existsSync(place)) ?? CONFIG_PATHS[0];

export const CONFIG_OPTION = '-c, --config <file>';
export const CONFIG_DESCRIPTION = `the configuration (default: ${CONFIG_PATHS.join(', else ')})`;

import { existsSync } from 'node:fs';

/** Where an operator's file is looked for, the first that is there: in this folder, then the machine's. */
export const CONFIG_PLACES = ['acgs-lb.yaml', '/etc/acgs-lb/acgs-lb.yaml'] as const;

/** `--config`, else the first of the places that is there; where none is, the first, so that its absence is told. */
export const chosenConfig = (given: string | undefined, before: readonly string[] = []): string =>
  given ?? [...before, ...CONFIG_PLACES].find((place) => existsSync(place)) ?? CONFIG_PLACES[0];

export const CONFIG_OPTION = '-c, --config <file>';
export const CONFIG_WORDS = `the configuration (default: ${CONFIG_PLACES.join(', else ')})`;

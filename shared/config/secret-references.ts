import type { Config } from './config.ts';
import { formatConfigPath } from './problem.ts';

/** An environment variable that the configuration names as `${NAME}`. */
export interface SecretReference {
  /** Where: `alerts.receivers.pager.routingKey`. */
  path: string;
  name: string;
  isUrl: boolean;
}

const REFERENCE = /\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g;
/**
 * The keys of receivers, the heartbeat, the OTLP export and sources of instances that may name a variable. Commands and
 * templates keep their text.
 */
const KEYS = ['url', 'headers', 'secret', 'routingKey', 'apiKey', 'token'];

export function secretReferences({
  alerts,
  telemetry,
  services,
}: Pick<Config, 'alerts' | 'telemetry' | 'services'>): SecretReference[] {
  const found: SecretReference[] = [];
  const walk = (value: unknown, path: string[]): void => {
    if (typeof value === 'object' && value !== null) {
      for (const [key, inner] of Object.entries(value)) walk(inner, [...path, key]);
    } else if (typeof value === 'string') {
      for (const [, name = ''] of value.matchAll(REFERENCE)) {
        found.push({ path: formatConfigPath(path), name, isUrl: path.at(-1) === 'url' });
      }
    }
  };
  const places: [string[], object][] = [
    ...Object.entries(alerts.receivers).map(([name, one]): [string[], object] => [
      ['alerts', 'receivers', name],
      one,
    ]),
    ...(alerts.heartbeat ? [[['alerts', 'heartbeat'], alerts.heartbeat] as [string[], object]] : []),
    ...(telemetry.otlp ? [[['telemetry', 'otlp'], telemetry.otlp] as [string[], object]] : []),
    ...Object.values(services).flatMap(({ id, instancesFrom }): [string[], object][] =>
      instancesFrom ? [[['services', id, 'instancesFrom'], instancesFrom]] : [],
    ),
  ];
  for (const [path, section] of places) {
    for (const [key, value] of Object.entries(section)) {
      if (KEYS.includes(key)) walk(value, [...path, key]);
    }
  }
  return found;
}

/** The text with every `${NAME}` replaced by its value. Throws with the name of a variable that is not set. */
export function resolveSecret(text: string, variable: (name: string) => string | undefined): string {
  return text.replace(REFERENCE, (_, name: string) => {
    const value = variable(name);
    if (!value) throw new Error(`${name} is not set`);
    return value;
  });
}

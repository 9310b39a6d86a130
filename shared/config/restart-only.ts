import type { Config } from './config.ts';
import { valueAt } from './problem.ts';

/** The keys and sections whose change takes effect only when the agent restarts. */
const RESTART_ONLY_KEYS = [
  'site.id',
  'site.agents',
  'agent',
  'edge',
  'haproxy.socket',
  'haproxy.masterSocket',
  'haproxy.mode',
  'haproxy.file',
  'haproxy.mainFile',
  'haproxy.agentCheck',
  'postgres',
];

/** `key` is a dotted path such as `agent.bind`. */
export const isRestartOnly = (key: string): boolean =>
  RESTART_ONLY_KEYS.some((restartOnly) => key === restartOnly || key.startsWith(`${restartOnly}.`));

/** `next` with the restart-only values of `current`. */
export function keepRestartOnlyValues(current: Config, next: Config): Config {
  return RESTART_ONLY_KEYS.map((key) => key.split('.')).reduce(
    (config, path) => withValueAt(config, path, valueAt(current, path)),
    next,
  );
}

/** A copy of `data` with another value at `path`; `value` must have the type that is there. */
function withValueAt<T>(data: T, path: readonly string[], value: unknown): T {
  const [first, ...rest] = path;
  if (first === undefined) return value as T;
  return { ...data, [first]: withValueAt(valueAt(data, [first]), rest, value) };
}

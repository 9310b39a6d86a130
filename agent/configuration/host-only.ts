import { isDeepStrictEqual } from 'node:util';
import type { Config } from '../../shared/config/config.ts';
import { ConfigError } from '../../shared/config/load.ts';
import { valueAt } from '../../shared/config/problem.ts';

/**
 * The keys that name programs, files, sockets or addresses that the agent runs, writes or sends to, some with secrets
 * from the environment. With one of them a stolen token would become access to the host or its secrets: only someone
 * who can write the file may change them.
 */
const HOST_ONLY_KEYS = [
  'alerts.receivers',
  'alerts.heartbeat',
  'haproxy.mode',
  'haproxy.file',
  'haproxy.mainFile',
  'haproxy.extra',
  'haproxy.socket',
  'haproxy.masterSocket',
  'haproxy.others',
  'haproxy.log',
  'haproxy.tls.crt',
];

/** Throws a ConfigError that names every key that the API may not change. */
export function refuseHostOnlyChanges(current: Config, next: Config): void {
  const problems = HOST_ONLY_KEYS.filter((key) => {
    const path = key.split('.');
    return !isDeepStrictEqual(valueAt(current, path), valueAt(next, path));
  }).map(
    (key) =>
      `${key}: cannot be changed through the API; change the file on the agent's host and reload the agent`,
  );
  if (problems.length > 0) throw new ConfigError(problems);
}

import { isDeepStrictEqual } from 'node:util';
import type { Config, ServiceConfig } from '../../shared/config/config.ts';
import type { DiscoveryConfig } from '../../shared/config/discovery.ts';
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
  'telemetry.otlp',
];

/** Throws a ConfigError that names every key that the API may not change. */
export function refuseHostOnlyChanges(current: Config, next: Config): void {
  const changed = HOST_ONLY_KEYS.filter((key) => {
    const path = key.split('.');
    return !isDeepStrictEqual(valueAt(current, path), valueAt(next, path));
  });
  const ids = new Set([...Object.keys(current.services), ...Object.keys(next.services)]);
  const ofServices = [...ids].flatMap((id) => {
    const [before, after] = [current.services[id], next.services[id]];
    return HOST_ONLY_OF_SERVICE.filter(({ read }) => !isDeepStrictEqual(read(before), read(after))).map(
      ({ key }) => `services.${id}.${key}`,
    );
  });
  const problems = [...changed, ...ofServices].map(
    (key) =>
      `${key}: cannot be changed through the API; change the file on the agent's host and reload the agent`,
  );
  if (problems.length > 0) throw new ConfigError(problems);
}

interface HostOnlyValue {
  key: string;
  read(service: ServiceConfig | undefined): unknown;
}

const HOST_ONLY_OF_SERVICE: readonly HostOnlyValue[] = [
  { key: 'instancesFrom', read: hostSource },
  { key: 'health.tls.ca', read: (service) => service?.health.tls?.ca },
  { key: 'health.tls.cert', read: (service) => service?.health.tls?.cert },
  { key: 'health.tls.key', read: (service) => service?.health.tls?.key },
];

/** A source that reads files, uses sockets, or sends requests and secrets; null: none, or only the system's DNS. */
function hostSource(service: ServiceConfig | undefined): DiscoveryConfig | null {
  const source = service?.instancesFrom ?? null;
  return source?.dns !== undefined && source.server === undefined ? null : source;
}

import type { Config, HealthCheck, ServiceConfig } from '../../shared/config/config.ts';
import { type Instance, instanceKey } from '../core/state.ts';
import type { ProbeTarget } from './target.ts';

/** Under the name that HAProxy's checks use too: a server of several sites answers for the right one. */
function checkOf({ health, hosts }: ServiceConfig): HealthCheck {
  const [host] = hosts;
  return host === undefined || health.headers.host !== undefined
    ? health
    : { ...health, headers: { host, ...health.headers } };
}

/** What is to be probed. An instance of a service that is no longer configured is not. */
export function probeTargetsOf(instances: Iterable<Instance>, config: Config): ProbeTarget[] {
  const checks = new Map(Object.values(config.services).map((service) => [service.id, checkOf(service)]));
  return Array.from(instances).flatMap(({ service, id, url, origin }) => {
    const check = checks.get(service);
    if (!check) return [];
    const guard = origin === 'api' ? { allowNetworks: config.registry.allowNetworks } : {};
    return [{ key: instanceKey(service, id), service, instance: id, url, check, ...guard }];
  });
}

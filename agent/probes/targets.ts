import type { Config, HealthCheck, ServiceConfig } from '../../shared/config/config.ts';
import { type Instance, instanceKey } from '../core/state.ts';
import type { ProbeTarget } from './target.ts';

/** The health check with the host name that HAProxy's checks use too, for servers with several virtual hosts. */
function healthCheckOf({ health, hosts }: ServiceConfig): HealthCheck {
  const [host] = hosts;
  return host === undefined || health.headers.host !== undefined
    ? health
    : { ...health, headers: { host, ...health.headers } };
}

/** The targets of all instances whose service is configured. */
export function probeTargetsOf(instances: Iterable<Instance>, config: Config): ProbeTarget[] {
  const checks = new Map(
    Object.values(config.services).map((service) => [
      service.id,
      { check: healthCheckOf(service), http2: service.protocol === 'http2' },
    ]),
  );
  return Array.from(instances).flatMap(({ service, id, url, origin }) => {
    const how = checks.get(service);
    if (!how) return [];
    const allowNetworks = origin !== 'file' && { allowNetworks: config.registry.allowNetworks };
    return [{ key: instanceKey(service, id), service, instance: id, url, ...how, ...allowNetworks }];
  });
}

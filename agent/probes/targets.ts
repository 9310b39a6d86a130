import type { Config } from '../../shared/config/config.ts';
import { type Instance, instanceKey } from '../state.ts';
import type { Target } from './target.ts';

/** What is to be probed. An instance of a service that is no longer configured is not. */
export function targetsOf(instances: Iterable<Instance>, config: Config): Target[] {
  return Array.from(instances).flatMap(({ service, id, url, origin }) => {
    const check = config.services[service]?.health;
    if (!check) return [];
    const guard = origin === 'api' ? { allowNetworks: config.registry.allowNetworks } : {};
    return [{ key: instanceKey(service, id), service, instance: id, url, check, ...guard }];
  });
}

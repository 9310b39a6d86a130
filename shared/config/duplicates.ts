import { parseOrigin } from './origin.ts';
import { type ConfigProblem, valueAt } from './problem.ts';

/**
 * What stands twice, judged on the text's own values: a second `gs-1` is a mistake even where the first one has
 * another mistake beside its id.
 */
export function findDuplicates(raw: unknown): ConfigProblem[] {
  const services = mapAt(raw, ['services']);
  return [...duplicateRoutes(services), ...duplicateInstances(services), ...duplicateLimits(raw, services)];
}

type Services = [id: string, service: unknown][];

function mapAt(raw: unknown, path: PropertyKey[]): Services {
  const value = valueAt(raw, path);
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.entries(value) : [];
}

function listAt(raw: unknown, path: PropertyKey[]): unknown[] {
  const value = valueAt(raw, path);
  return Array.isArray(value) ? value : [];
}

function duplicateRoutes(services: Services): ConfigProblem[] {
  const owners = new Map<string, string>();
  const problems: ConfigProblem[] = [];
  for (const [id, service] of services) {
    const hosts = listAt(service, ['hosts']).map((host) => String(host).toLowerCase());
    for (const [index, route] of listAt(service, ['routes']).entries()) {
      if (typeof route !== 'string') continue;
      for (const host of hosts.length > 0 ? hosts : ['']) {
        const owner = owners.get(`${host} ${route}`);
        if (owner === undefined) owners.set(`${host} ${route}`, id);
        else {
          const allowed =
            owner === id ? 'each prefix once' : `a prefix no other service has (${owner} has it)`;
          problems.push({ path: ['services', id, 'routes', index], value: route, allowed });
        }
      }
    }
  }
  return problems;
}

function duplicateInstances(services: Services): ConfigProblem[] {
  const owners = new Map<string, string>();
  const problems: ConfigProblem[] = [];
  for (const [serviceId, service] of services) {
    const urls = new Map<string, string>();
    for (const [index, instance] of listAt(service, ['instances']).entries()) {
      const path = ['services', serviceId, 'instances', index];
      const id = valueAt(instance, ['id']);
      const url = valueAt(instance, ['url']);
      if (typeof id === 'string') {
        const owner = owners.get(id);
        if (owner) {
          const allowed = `an id no other instance has (service ${owner} has it)`;
          problems.push({ path: [...path, 'id'], value: id, allowed });
        } else owners.set(id, serviceId);
      }
      const origin = typeof url === 'string' ? parseOrigin(url) : null;
      if (origin === null) continue;
      const other = urls.get(origin);
      if (other !== undefined) {
        const allowed = `a URL no other instance of the service has (${other} has it)`;
        problems.push({ path: [...path, 'url'], value: url, allowed });
      } else urls.set(origin, String(id));
    }
  }
  return problems;
}

/** A limit is known by its name in answers, metrics and reports. */
function duplicateLimits(raw: unknown, services: Services): ConfigProblem[] {
  const lists: ConfigProblem['path'][] = [
    ['rateLimits'],
    ['defaults', 'rateLimits'],
    ...services.map(([id]) => ['services', id, 'rateLimits']),
  ];
  const namesOf = (path: ConfigProblem['path']) => listAt(raw, path).map((limit) => valueAt(limit, ['name']));
  const shared = namesOf(['rateLimits']);
  return lists.flatMap((path) => {
    const names = namesOf(path);
    return names.flatMap((name, index) => {
      const problem = (allowed: string) => [{ path: [...path, index, 'name'], value: name, allowed }];
      if (typeof name !== 'string') return [];
      if (names.indexOf(name) < index) return problem('a name no other limit of the list has');
      if (path.length > 1 && shared.includes(name)) return problem('a name no limit of all services has');
      return [];
    });
  });
}

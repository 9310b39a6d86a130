import { parseOrigin } from './origin.ts';
import { type ConfigProblem, valueAt } from './problem.ts';

/**
 * Routes, instances and limits that occur twice. Reads the raw data, so that a second `gs-1` is reported even when the
 * first one has a schema error.
 */
export function findDuplicates(raw: unknown): ConfigProblem[] {
  const services = entriesAt(raw, ['services']);
  return [
    ...duplicateRoutes(services),
    ...duplicateInstanceIds(services),
    ...services.flatMap(([id, service]) => duplicateUrls(id, service)),
    ...duplicateLimits(raw, services),
  ];
}

type ServiceEntries = [id: string, service: unknown][];

function entriesAt(raw: unknown, path: PropertyKey[]): ServiceEntries {
  const value = valueAt(raw, path);
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.entries(value) : [];
}

function listAt(raw: unknown, path: PropertyKey[]): unknown[] {
  const value = valueAt(raw, path);
  return Array.isArray(value) ? value : [];
}

/** Enters `owner` under `key`; returns the owner that is there already, or undefined. */
function claim(owners: Map<string, string>, key: string, owner: string): string | undefined {
  const earlier = owners.get(key);
  if (earlier === undefined) owners.set(key, owner);
  return earlier;
}

function duplicateRoutes(services: ServiceEntries): ConfigProblem[] {
  const owners = new Map<string, string>();
  return services.flatMap(([id, service]) => {
    const hosts = listAt(service, ['hosts']).map((host) => String(host).toLowerCase());
    return listAt(service, ['routes']).flatMap((route, index) => {
      if (typeof route !== 'string') return [];
      return (hosts.length > 0 ? hosts : ['']).flatMap((host) => {
        const owner = claim(owners, `${host} ${route}`, id);
        if (owner === undefined) return [];
        const allowed =
          owner === id ? 'each prefix once' : `a prefix that no other service has (${owner} has it)`;
        return [{ path: ['services', id, 'routes', index], value: route, allowed }];
      });
    });
  });
}

function duplicateInstanceIds(services: ServiceEntries): ConfigProblem[] {
  const owners = new Map<string, string>();
  return services.flatMap(([service, section]) =>
    listAt(section, ['instances']).flatMap((instance, index) => {
      const id = valueAt(instance, ['id']);
      const owner = typeof id === 'string' ? claim(owners, id, service) : undefined;
      if (owner === undefined) return [];
      const allowed = `an id that no other instance has (service ${owner} has it)`;
      return [{ path: ['services', service, 'instances', index, 'id'], value: id, allowed }];
    }),
  );
}

function duplicateUrls(service: string, section: unknown): ConfigProblem[] {
  const owners = new Map<string, string>();
  return listAt(section, ['instances']).flatMap((instance, index) => {
    const url = valueAt(instance, ['url']);
    const origin = typeof url === 'string' ? parseOrigin(url) : null;
    if (origin === null) return [];
    const owner = claim(owners, origin, String(valueAt(instance, ['id'])));
    if (owner === undefined) return [];
    const allowed = `a URL that no other instance of the service has (${owner} has it)`;
    return [{ path: ['services', service, 'instances', index, 'url'], value: url, allowed }];
  });
}

/** Responses, metrics and reports identify a limit by its name. */
function duplicateLimits(raw: unknown, services: ServiceEntries): ConfigProblem[] {
  const lists: ConfigProblem['path'][] = [
    ['rateLimits'],
    ['defaults', 'rateLimits'],
    ...services.map(([id]) => ['services', id, 'rateLimits']),
  ];
  const namesOf = (path: ConfigProblem['path']) => listAt(raw, path).map((limit) => valueAt(limit, ['name']));
  const shared = new Set(namesOf(['rateLimits']));
  return lists.flatMap((path) => {
    const seen = new Set<unknown>();
    return namesOf(path).flatMap((name, index) => {
      const problem = (allowed: string) => [{ path: [...path, index, 'name'], value: name, allowed }];
      if (typeof name !== 'string') return [];
      if (seen.has(name)) return problem('a name that no other limit of the list has');
      seen.add(name);
      if (path.length > 1 && shared.has(name))
        return problem('a name that no limit in the top-level rateLimits has');
      return [];
    });
  });
}

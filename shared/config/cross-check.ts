import type { Config } from './config.ts';

/** A mistake in the file: where it is, what is there, and what may be there. */
export interface Problem {
  path: (string | number)[];
  value: unknown;
  allowed: string;
}

/** Mistakes that only show when sections are held against each other. */
export function crossCheck(config: Config): Problem[] {
  return [
    ...duplicateRoutes(config),
    ...duplicateInstances(config),
    ...impossibleTimes(config),
    ...unknownReceivers(config),
    ...headerAffinity(config),
    ...poolSizes(config),
  ];
}

function duplicateRoutes(config: Config): Problem[] {
  const owners = new Map<string, string>();
  const problems: Problem[] = [];
  for (const service of Object.values(config.services)) {
    for (const [index, route] of service.routes.entries()) {
      for (const host of service.hosts.length ? service.hosts : ['']) {
        const key = `${host} ${route}`;
        const owner = owners.get(key);
        if (owner) {
          problems.push({
            path: ['services', service.id, 'routes', index],
            value: route,
            allowed: `a prefix no other service has (${owner} has it)`,
          });
        } else owners.set(key, service.id);
      }
    }
  }
  return problems;
}

function duplicateInstances(config: Config): Problem[] {
  const ids = new Set<string>();
  const problems: Problem[] = [];
  for (const service of Object.values(config.services)) {
    const urls = new Set<string>();
    for (const [index, instance] of service.instances.entries()) {
      const path = ['services', service.id, 'instances', index];
      if (ids.has(instance.id)) {
        problems.push({ path: [...path, 'id'], value: instance.id, allowed: 'an id no other instance has' });
      }
      if (urls.has(instance.url)) {
        problems.push({
          path: [...path, 'url'],
          value: instance.url,
          allowed: 'a URL no other instance of the service has',
        });
      }
      ids.add(instance.id);
      urls.add(instance.url);
    }
  }
  return problems;
}

function impossibleTimes(config: Config): Problem[] {
  return Object.values(config.services).flatMap((service) => {
    const problems: Problem[] = [];
    const at = (...path: string[]) => ['services', service.id, ...path];
    if (service.deadline < service.timeout) {
      problems.push({
        path: at('deadline'),
        value: `${service.deadline}ms`,
        allowed: `at least timeout (${service.timeout}ms)`,
      });
    }
    if (service.health.fastInterval > service.health.interval) {
      problems.push({
        path: at('health', 'fastInterval'),
        value: `${service.health.fastInterval}ms`,
        allowed: `at most interval (${service.health.interval}ms)`,
      });
    }
    if (service.breaker.maxOpenFor < service.breaker.openFor) {
      problems.push({
        path: at('breaker', 'maxOpenFor'),
        value: `${service.breaker.maxOpenFor}ms`,
        allowed: `at least openFor (${service.breaker.openFor}ms)`,
      });
    }
    return problems;
  });
}

function unknownReceivers(config: Config): Problem[] {
  const known = Object.keys(config.alerts.receivers);
  return config.alerts.routes.flatMap((route, index) =>
    route.to.flatMap((name, position) =>
      known.includes(name)
        ? []
        : [
            {
              path: ['alerts', 'routes', index, 'to', position],
              value: name,
              allowed: `one of ${known.join(', ')}`,
            },
          ],
    ),
  );
}

function headerAffinity(config: Config): Problem[] {
  return Object.values(config.services).flatMap((service) =>
    service.affinity.by === 'header' && !service.affinity.header
      ? [
          {
            path: ['services', service.id, 'affinity', 'header'],
            value: undefined,
            allowed: 'a header name when affinity is by header',
          },
        ]
      : [],
  );
}

function poolSizes(config: Config): Problem[] {
  const { min, max } = config.postgres.pool;
  return min > max
    ? [{ path: ['postgres', 'pool', 'min'], value: min, allowed: `at most max (${max})` }]
    : [];
}

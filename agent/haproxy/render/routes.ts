import type { Config, ServiceConfig } from '../../../shared/config/config.ts';

/**
 * Routes as maps in which HAProxy finds the longest matching prefix. Prefixes and the path to look up both end with
 * "/", so `/api/v1/auth` matches `/api/v1/auth` and `/api/v1/auth/x` but not `/api/v1/authx`.
 */
export function routeMaps(config: Config): {
  routes: string;
  hosts: string;
  services: string;
  /** One line `service/prefix/ 1` for each path whose answers are held. */
  longLived: string;
  anyHost: boolean;
} {
  const services = Object.values(config.services);
  const open = services.filter((service) => service.hosts.length === 0).flatMap(routesOf);
  const hosts = [...new Set(services.flatMap((service) => service.hosts))].sort();
  const lines = new Map(open.map(({ prefix, service }) => [prefix, service]));
  for (const host of hosts) {
    // Routes for every host apply here too, unless the host has its own route for the same prefix.
    const table = new Map(open.map(({ prefix, service }) => [prefix, service]));
    for (const { prefix, service } of services
      .filter((each) => each.hosts.includes(host))
      .flatMap(routesOf)) {
      table.set(prefix, service);
    }
    for (const [prefix, service] of table) lines.set(host + prefix, service);
  }
  return {
    routes: text([...lines].map(([prefix, service]) => `${prefix} ${service}`)),
    hosts: text(hosts.map((host) => `${host} 1`)),
    services: text(services.map(({ id }) => `${id} 1`)),
    longLived: text(
      services.flatMap(({ id, longLived }) => longLived.paths.map((path) => `${id}${prefixOf(path)} 1`)),
    ),
    anyHost: hosts.length > 0,
  };
}

const routesOf = (service: ServiceConfig) =>
  service.routes.map((route) => ({ prefix: prefixOf(route), service: service.id }));

const prefixOf = (route: string): string => (route === '/' ? '/' : `${route}/`);

const text = (lines: string[]): string => lines.map((line) => `${line}\n`).join('');

import type { RouteTable } from './gateway/routes.ts';
import type { ServerDraft } from './services/server.ts';
import type { ServiceDraft } from './services/service.ts';

/** The section `services`. A service without a route gets a host name that no client can ask for. */
export function servicesData(
  services: ReadonlyMap<string, ServiceDraft>,
  routes: RouteTable | null,
): Record<string, unknown> {
  const idOf = instanceIds(services);
  const data: Record<string, unknown> = {};
  let unrouted = 0;
  for (const [name, draft] of services) {
    const own = routes?.byService.get(name);
    const hosts = own ? own.hosts : [unroutedHost(name, unrouted++)];
    data[name] = {
      routes: own?.routes ?? ['/'],
      ...(hosts.length > 0 ? { hosts } : {}),
      ...draft.settings,
      instances: draft.servers.map((server) =>
        instanceData(server, { id: idOf(name, server), all: draft.servers }),
      ),
    };
  }
  return data;
}

/** `.invalid` never resolves (RFC 2606). The number keeps the names apart. */
const unroutedHost = (name: string, index: number): string =>
  `${name.toLowerCase().replaceAll(/[^a-z0-9-]/g, '-')}-${index}.invalid`;

/** HAProxy's names are unique within a backend, ids of instances in the whole file. */
function instanceIds(
  services: ReadonlyMap<string, ServiceDraft>,
): (service: string, server: ServerDraft) => string {
  const counts = new Map<string, number>();
  for (const { servers } of services.values())
    for (const { name } of servers) counts.set(name, (counts.get(name) ?? 0) + 1);
  const taken = new Set([...counts].filter(([, count]) => count === 1).map(([name]) => name));
  return (service, { name }) => {
    if (counts.get(name) === 1) return name;
    const base = `${service}-${name}`.slice(0, 58);
    let id = base;
    for (let number = 2; taken.has(id); number++) id = `${base}-${number}`;
    taken.add(id);
    return id;
  };
}

function instanceData(
  server: ServerDraft,
  { id, all }: { id: string; all: readonly ServerDraft[] },
): Record<string, unknown> {
  const largest = Math.max(...all.map(({ weight }) => weight));
  const isEqual = all.every(({ weight }) => weight === server.weight);
  return {
    id,
    url: server.url,
    // In acgs-lb 100 is the usual weight, so that a share of it is a whole number.
    ...(isEqual ? {} : { weight: Math.max(1, Math.round((server.weight * 100) / largest)) }),
    ...(server.backup ? { priority: 2 } : {}),
    ...(server.maxconn === null ? {} : { maxconn: server.maxconn }),
  };
}

import { type Instance, instanceKey } from '../../core/state.ts';
import { type DesiredContext, type DesiredServer, type DesiredServers, serversOfService } from './desired.ts';

type Instances = ReadonlyMap<string, Instance>;

/** The desired servers by service: a change computes only the servers of its service again. */
export interface DesiredTable {
  all(): DesiredServers;
  /** Computes the servers of these services. */
  update(instances: Instances, services: ReadonlySet<string>): void;
  /** Computes the servers of all services in small steps: weights also change with time. `update` may be called between two steps. */
  updateAllSteps(instances: Instances): Generator<void, void>;
}

export interface DesiredTableOptions {
  /** See `computeDesiredServers`. */
  initial: ReadonlySet<string>;
  services: () => DesiredContext['services'];
  now: () => number;
}

export function createDesiredTable({ initial, services, now }: DesiredTableOptions): DesiredTable {
  const byService = new Map<string, DesiredServer[]>();
  /** When each service was last computed: an update of all that began before has read older instances. */
  const computedAt = new Map<string, number>();
  let updates = 0;

  function set(service: string, members: readonly Instance[]): void {
    computedAt.set(service, ++updates);
    const slowStartMs = services()[service]?.slowStart ?? 0;
    if (members.length === 0) byService.delete(service);
    else byService.set(service, serversOfService(members, initial, slowStartMs, now()));
  }

  return {
    all() {
      const all = new Map<string, DesiredServer>();
      for (const servers of byService.values()) {
        for (const server of servers) all.set(instanceKey(server.service, server.instance), server);
      }
      return all;
    },
    update(instances, changed) {
      const members = Map.groupBy(
        instances.values().filter(({ service }) => changed.has(service)),
        ({ service }) => service,
      );
      for (const service of changed) {
        set(service, members.get(service) ?? []);
      }
    },
    *updateAllSteps(instances) {
      const began = ++updates;
      const members = Map.groupBy(instances.values(), ({ service }) => service);
      for (const service of new Set([...byService.keys(), ...members.keys()])) {
        yield;
        if ((computedAt.get(service) ?? 0) < began) set(service, members.get(service) ?? []);
      }
    },
  };
}

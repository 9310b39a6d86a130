import { join, resolve } from 'node:path';
import { type DerivedConfig, isDemoUrl, portOf } from '../../agent/cli/local-stack.ts';
import type { Config } from '../../shared/config/config.ts';
import { type StackOptions, UsageError } from '../options.mjs';
import { isPortFree } from '../ports.ts';

/** Folders, files and ports of one stack. */
export interface StackLayout {
  root: string;
  stateDir: string;
  /** Private folder for sockets, HAProxy's configuration and temporary data of servers. */
  runFolder: string;
  configFile: string;
  logs: string;
  redisPort: number;
  postgresPort: number;
  /** Of the Worker under `wrangler dev`. */
  inspectorPort: number;
}

const REDIS_PORT = 6390;
const POSTGRES_PORT = 5442;
const INSPECTOR_PORT = 9229;

export function layoutOf(root: string, options: StackOptions, runFolder: string): StackLayout {
  const stateDir = resolve(options.stateDir);
  return {
    root,
    stateDir,
    runFolder,
    configFile: join(stateDir, 'acgs-lb.yaml'),
    logs: join(stateDir, 'logs'),
    redisPort: REDIS_PORT + options.portOffset,
    postgresPort: POSTGRES_PORT + options.portOffset,
    inspectorPort: INSPECTOR_PORT + options.portOffset,
  };
}

export interface DemoInstance {
  service: string;
  id: string;
  url: string;
  port: number;
}

/** The configured instances that a demo process on this machine can replace. */
export function demoInstances(config: Config): DemoInstance[] {
  return Object.values(config.services).flatMap((service) =>
    service.instances
      .filter((instance) => isDemoUrl(instance.url))
      .map(({ id, url }) => ({ service: service.id, id, url, port: Number(new URL(url).port || 80) })),
  );
}

/** Throws UsageError with the first taken port, the number of other taken ports, and an offset with free ports. */
export async function requireFreePorts(
  ports: readonly RequiredPort[],
  { portOffset }: Pick<StackOptions, 'portOffset'>,
): Promise<void> {
  const taken: RequiredPort[] = [];
  for (const required of ports) if (!(await isPortFree(required.port))) taken.push(required);
  const [first, ...more] = taken;
  if (!first) return;
  const hint = first.hint ? `; ${first.hint}` : '';
  const others = more.length > 0 ? ` (and ${more.length} more)` : '';
  const offset = portOffset + (await freePortOffset(ports));
  throw new UsageError(
    `port ${first.port} for ${first.usedBy} is already in use${others}${hint}; shift all ports with --port-offset ${offset}`,
  );
}

async function freePortOffset(ports: readonly RequiredPort[]): Promise<number> {
  for (let shift = 100; shift < 5_000; shift += 100) {
    const free = await Promise.all(ports.map(({ port }) => isPortFree(port + shift)));
    if (free.every(Boolean)) return shift;
  }
  return 5_000;
}

export interface RequiredPort {
  port: number;
  usedBy: string;
  /** What may use the port, when this is not obvious. */
  hint?: string;
}

export function requiredPorts(
  derived: DerivedConfig,
  layout: StackLayout,
  demo: boolean,
  servers: { haproxy: boolean; redis: boolean; postgres: boolean; inspector: boolean },
): RequiredPort[] {
  const { haproxy, agent } = derived.config;
  const gateway = [
    ...haproxy.bind.map((bind) => ({ port: portOf(bind), usedBy: 'the gateway' })),
    ...(haproxy.tls?.bind ?? []).map((bind) => ({ port: portOf(bind), usedBy: 'the gateway (TLS)' })),
    { port: portOf(haproxy.stats), usedBy: "HAProxy's statistics" },
  ];
  return [
    { port: derived.edge.port, usedBy: 'the edge' },
    ...(servers.inspector ? [{ port: layout.inspectorPort, usedBy: "the Worker's inspector" }] : []),
    ...(servers.haproxy ? gateway : []),
    { port: portOf(agent.bind), usedBy: 'the agent' },
    { port: portOf(haproxy.agentCheck), usedBy: "the agent's HAProxy agent check" },
    ...(servers.redis ? [{ port: layout.redisPort, usedBy: 'Redis' }] : []),
    ...(servers.postgres ? [{ port: layout.postgresPort, usedBy: 'Postgres' }] : []),
    ...(demo
      ? demoInstances(derived.config).map(({ port, id }) => ({
          port,
          usedBy: id,
          hint: `if you restarted ${id} by hand, stop it with Ctrl-C`,
        }))
      : []),
  ];
}

import { join, resolve } from 'node:path';
import type { Config } from '../../shared/config/config.ts';
import { type StackOptions, UsageError } from '../options.mjs';
import { isPortFree } from '../ports.ts';
import { type DerivedConfig, isDemoUrl, portOf } from './derive.ts';

/** Where everything of one stack is. */
export interface StackLayout {
  root: string;
  stateDir: string;
  /** Short private folder for sockets, HAProxy's file and servers' temporary data. */
  runFolder: string;
  configFile: string;
  logs: string;
  redisPort: number;
  postgresPort: number;
}

const REDIS_PORT = 6390;
const POSTGRES_PORT = 5442;

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
  };
}

export interface DemoInstance {
  service: string;
  id: string;
  url: string;
  port: number;
}

/** The config's instances that a demo process on this machine can stand in for. */
export function demoInstances(config: Config): DemoInstance[] {
  return Object.values(config.services).flatMap((service) =>
    service.instances
      .filter((instance) => isDemoUrl(instance.url))
      .map(({ id, url }) => ({ service: service.id, id, url, port: Number(new URL(url).port || 80) })),
  );
}

/** Throws UsageError naming the first taken port, how many more there are, and an offset at which all are free. */
export async function requireFreePorts(
  wanted: readonly RequiredPort[],
  { portOffset }: Pick<StackOptions, 'portOffset'>,
): Promise<void> {
  const taken: RequiredPort[] = [];
  for (const each of wanted) if (!(await isPortFree(each.port))) taken.push(each);
  const [first, ...more] = taken;
  if (!first) return;
  const hint = first.hint ? `; ${first.hint}` : '';
  const others = more.length > 0 ? ` (and ${more.length} more)` : '';
  const offset = portOffset + (await freePortOffset(wanted));
  throw new UsageError(
    `port ${first.port}, wanted by ${first.usedBy}, is already taken${others}${hint}; move all ports: --port-offset ${offset}`,
  );
}

async function freePortOffset(wanted: readonly RequiredPort[]): Promise<number> {
  for (let shift = 100; shift < 5_000; shift += 100) {
    const free = await Promise.all(wanted.map(({ port }) => isPortFree(port + shift)));
    if (free.every(Boolean)) return shift;
  }
  return 5_000;
}

export interface RequiredPort {
  port: number;
  usedBy: string;
  /** What may hold it, when that is not plain. */
  hint?: string;
}

export function requiredPorts(
  derived: DerivedConfig,
  layout: StackLayout,
  demo: boolean,
  servers: { haproxy: boolean; redis: boolean; postgres: boolean },
): RequiredPort[] {
  const { haproxy, agent } = derived.config;
  const gateway = [
    ...haproxy.bind.map((bind) => ({ port: portOf(bind), usedBy: 'the gateway' })),
    ...(haproxy.tls?.bind ?? []).map((bind) => ({ port: portOf(bind), usedBy: 'the gateway (TLS)' })),
    { port: portOf(haproxy.stats), usedBy: "HAProxy's statistics" },
  ];
  return [
    { port: derived.edge.port, usedBy: 'the edge' },
    ...(servers.haproxy ? gateway : []),
    { port: portOf(agent.bind), usedBy: 'the agent' },
    { port: portOf(haproxy.agentCheck), usedBy: "the agent's answers to HAProxy" },
    ...(servers.redis ? [{ port: layout.redisPort, usedBy: 'Redis' }] : []),
    ...(servers.postgres ? [{ port: layout.postgresPort, usedBy: 'Postgres' }] : []),
    ...(demo
      ? demoInstances(derived.config).map(({ port, id }) => ({
          port,
          usedBy: id,
          hint: `is ${id} still running where you brought it back? Ctrl-C there`,
        }))
      : []),
  ];
}

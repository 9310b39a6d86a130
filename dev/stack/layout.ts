import { join, resolve } from 'node:path';
import type { Config } from '../../shared/config/config.ts';
import type { StackOptions } from '../options.mjs';
import { PortTakenError, portIsFree } from '../ports.ts';
import { type Derived, isDemoUrl, portOf } from './derive.ts';

/** Where everything of one stack is. */
export interface Layout {
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

export function layoutOf(root: string, options: StackOptions, runFolder: string): Layout {
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

/** Throws PortTakenError for the first taken port, telling how many more there are. */
export async function requireFreePorts(
  derived: Derived,
  layout: Layout,
  options: StackOptions,
  servers: { haproxy: boolean; redis: boolean; postgres: boolean },
): Promise<void> {
  const { haproxy, agent } = derived.config;
  const wanted: [number, string][] = [
    [derived.edge.port, 'the edge'],
    [portOf(agent.bind), 'the agent'],
    ...(servers.haproxy ? haproxy.bind.map((bind): [number, string] => [portOf(bind), 'the gateway']) : []),
    ...(servers.haproxy ? [[portOf(haproxy.stats), "HAProxy's statistics"] as [number, string]] : []),
    ...(haproxy.tls?.bind ?? []).map((bind): [number, string] => [portOf(bind), 'the gateway (TLS)']),
    [portOf(haproxy.agentCheck), "the agent's answers to HAProxy"],
    ...(servers.redis ? [[layout.redisPort, 'Redis'] as [number, string]] : []),
    ...(servers.postgres ? [[layout.postgresPort, 'Postgres'] as [number, string]] : []),
    ...(options.demo
      ? demoInstances(derived.config).map(({ port, id }): [number, string] => [port, id])
      : []),
  ];
  const taken: [number, string][] = [];
  for (const [port, wantedBy] of wanted) if (!(await portIsFree(port))) taken.push([port, wantedBy]);
  const [first, ...more] = taken;
  if (first) throw new PortTakenError(first[0], first[1], more.length);
}

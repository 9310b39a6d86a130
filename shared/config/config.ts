import type { DiscoveryConfig } from './discovery.ts';
import { DEFAULT_FILES } from './haproxy.ts';
import { SEVERITIES } from './monitor.ts';
import type { ConfigFile } from './schema.ts';
import {
  BUILT_IN,
  BUILT_IN_ACCESS,
  type FAILOVER_STRATEGIES,
  type PROTOCOLS,
  type STRATEGIES,
} from './service.ts';

export type Strategy = (typeof STRATEGIES)[number];
export type FailoverStrategy = (typeof FAILOVER_STRATEGIES)[number];
export type RateLimitConfig = NonNullable<ConfigFile['defaults']['rateLimits']>[number];
export type AccessRuleConfig = NonNullable<ConfigFile['defaults']['access']>[number];
export type InstanceConfig = ConfigFile['services'][string]['instances'][number];

type HealthSection = NonNullable<ConfigFile['defaults']['health']>;
type Group<K extends 'breaker' | 'failover' | 'affinity' | 'longLived'> = NonNullable<
  ConfigFile['defaults'][K]
>;

/** How an instance is probed. Times in milliseconds. */
export interface HealthCheck {
  type: 'http' | 'tcp' | 'grpc';
  method: string;
  path: string;
  headers: Record<string, string>;
  interval: number;
  fastInterval: number;
  timeout: number;
  rise: number;
  fall: number;
  expect: {
    /** Inclusive ranges of acceptable status codes. */
    status: [number, number][];
    body?: string;
    json?: { path: string; equals: string | number | boolean };
  };
  tls?: NonNullable<HealthSection['tls']>;
}

type Filled<T> = { [K in keyof T]-?: NonNullable<T[K]> };

/** Rates are fractions 0–1, times are milliseconds. The schema describes each key. */
export type BreakerPolicy = Filled<Group<'breaker'>>;
type FailoverPolicy = Filled<Group<'failover'>>;
type AffinityPolicy = Filled<Omit<Group<'affinity'>, 'header'>> & Pick<Group<'affinity'>, 'header'>;
/** `maxconn`: for each HAProxy and instance. `idle`: the longest silence before or within an answer, in milliseconds. */
type LongLivedPolicy = Filled<Group<'longLived'>>;
/** When an instance counts as worse than its peers. Times in milliseconds, shares 0–1. */
export type OutlierPolicy = Filled<Exclude<NonNullable<ConfigFile['defaults']['outlier']>, 'off'>>;

/** One service with every default filled in. Times in milliseconds. */
export interface ServiceConfig {
  id: string;
  routes: string[];
  hosts: string[];
  /** Per attempt, to the response headers. */
  timeout: number;
  /** For the whole client request. */
  deadline: number;
  /** Maximum HAProxy connections to each instance. */
  maxconn: number;
  /** Between HAProxy and the instances. */
  protocol: (typeof PROTOCOLS)[number];
  path: 'gateway' | 'direct';
  strategy: Strategy;
  health: HealthCheck;
  breaker: BreakerPolicy;
  /** Null: instances are not compared. */
  outlier: OutlierPolicy | null;
  failover: FailoverPolicy;
  affinity: AffinityPolicy;
  /** Connections that stay open for long: WebSockets, event streams, and answers of these paths. */
  longLived: LongLivedPolicy;
  rateLimits: RateLimitConfig[];
  access: AccessRuleConfig[];
  slowStart: number;
  instances: InstanceConfig[];
  /** Null: the service has only instances of the file and instances registered through the API. */
  instancesFrom: DiscoveryConfig | null;
}

type AlertsSection = ConfigFile['alerts'];

type HaproxySection = ConfigFile['haproxy'];

export interface Config extends Omit<ConfigFile, 'defaults' | 'services' | 'alerts' | 'haproxy'> {
  haproxy: Omit<HaproxySection, 'file'> & { file: string };
  services: Record<string, ServiceConfig>;
  alerts: Omit<AlertsSection, 'routes'> & { routes: NonNullable<AlertsSection['routes']> };
}

/** The service overrides `defaults`, which override the built-in values: key by key within a section, lists as a whole. */
export function fillDefaults(file: ConfigFile): Config {
  const { defaults, services, alerts, haproxy, ...rest } = file;
  const filled = Object.entries(services).map(([id, service]): [string, ServiceConfig] => {
    const timeout = service.timeout ?? BUILT_IN.timeout;
    const slowCall = Math.max(timeout / 2, 5_000);
    const group = <K extends 'breaker' | 'failover' | 'affinity' | 'longLived'>(key: K): Group<K> =>
      ({ ...defaults[key], ...service[key] }) as Group<K>;
    return [
      id,
      {
        id,
        routes: service.routes,
        hosts: (service.hosts ?? []).map((host) => host.toLowerCase()),
        timeout,
        deadline: service.deadline ?? timeout + 10_000,
        maxconn: service.maxconn ?? BUILT_IN.maxconn,
        protocol: service.protocol ?? BUILT_IN.protocol,
        path: service.path ?? defaults.path ?? BUILT_IN.path,
        strategy: service.strategy ?? defaults.strategy ?? BUILT_IN.strategy,
        health: fillHealth(defaults.health, service.health),
        breaker: { ...BUILT_IN.breaker, slowCall, ...group('breaker') } as BreakerPolicy,
        outlier: fillOutlier(defaults.outlier, service.outlier),
        failover: { ...BUILT_IN.failover, ...group('failover') } as FailoverPolicy,
        affinity: { ...BUILT_IN.affinity, ...group('affinity') } as AffinityPolicy,
        longLived: { ...BUILT_IN.longLived, ...group('longLived') } as LongLivedPolicy,
        rateLimits: service.rateLimits ?? defaults.rateLimits ?? [],
        access: service.access ?? defaults.access ?? structuredClone(BUILT_IN_ACCESS),
        slowStart: service.slowStart ?? defaults.slowStart ?? BUILT_IN.slowStart,
        instances: service.instances,
        instancesFrom: service.instancesFrom ?? null,
      },
    ];
  });
  // Looked up by names from requests: without a prototype, `constructor` is not found.
  const byName: Record<string, ServiceConfig> = Object.assign(
    Object.create(null),
    Object.fromEntries(filled),
  );
  const toAll = { severities: [...SEVERITIES], to: Object.keys(alerts.receivers) };
  return {
    ...rest,
    services: byName,
    haproxy: { ...haproxy, file: haproxy.file ?? DEFAULT_FILES[haproxy.mode] },
    alerts: { ...alerts, routes: alerts.routes ?? [toAll] },
  };
}

type OutlierSection = ConfigFile['defaults']['outlier'];

function fillOutlier(defaults: OutlierSection, service: OutlierSection): OutlierPolicy | null {
  const section = service ?? defaults;
  if (section === 'off') return null;
  const inherited = defaults === 'off' ? {} : defaults;
  return { ...BUILT_IN.outlier, ...inherited, ...section } as OutlierPolicy;
}

function fillHealth(defaults: HealthSection | undefined, service: HealthSection | undefined): HealthCheck {
  const expect = { ...structuredClone(BUILT_IN.health.expect), ...defaults?.expect, ...service?.expect };
  return { ...BUILT_IN.health, ...defaults, ...service, expect } as HealthCheck;
}

import type { Config, RateLimitConfig, ServiceConfig } from '../../shared/config/config.ts';
import { DEFAULT_IDLE_MS } from '../../shared/long-lived.ts';
import {
  DEFAULT_HEADERS,
  type Snapshot,
  type SnapshotHeaders,
  type SnapshotInstance,
  type SnapshotOrder,
  type SnapshotPins,
  type SnapshotService,
} from '../../shared/snapshot/snapshot.ts';
import type { Instance } from '../core/state.ts';

interface BuildSnapshotInput {
  config: Config;
  instances: Iterable<Instance>;
  order: SnapshotOrder;
  /** Epoch milliseconds. */
  issuedAt: number;
  pins: SnapshotPins | undefined;
}

/**
 * The document that the edge routes by. Values at their defaults are omitted to keep it small: every isolate parses it
 * on its first request.
 */
export function buildSnapshot({ config, instances, order, issuedAt, pins }: BuildSnapshotInput): Snapshot {
  const byService = Map.groupBy(instances, (instance) => instance.service);
  const { id, gateways, weight, near } = config.site;
  return {
    v: 1,
    site: id,
    ...order,
    issuedAt,
    gateways,
    ...(weight === 100 ? {} : { weight }),
    ...(near.length === 0 ? {} : { near }),
    ...headersSection(config.headers),
    services: Object.fromEntries(
      Object.values(config.services).map((service) => [
        service.id,
        serviceSection(service, config.rateLimits, byService.get(service.id) ?? []),
      ]),
    ),
    ...(pins && Object.keys(pins).length > 0 ? { pins } : {}),
  };
}

function headersSection(headers: SnapshotHeaders): Pick<Snapshot, 'headers'> {
  const names = Object.keys(DEFAULT_HEADERS) as (keyof SnapshotHeaders)[];
  const changed = names.filter((name) => headers[name] !== DEFAULT_HEADERS[name]);
  if (changed.length === 0) return {};
  return { headers: Object.fromEntries(changed.map((name) => [name, headers[name]])) };
}

function serviceSection(
  service: ServiceConfig,
  shared: readonly RateLimitConfig[],
  instances: Instance[],
): SnapshotService {
  const {
    routes,
    hosts,
    timeout,
    deadline,
    path,
    protocol,
    strategy,
    failover,
    affinity,
    longLived,
    rateLimits,
    access,
    slowStart,
  } = service;
  return {
    routes,
    ...(hosts.length === 0 ? {} : { hosts }),
    timeout,
    deadline,
    path,
    ...(protocol === 'http2' ? { protocol } : {}),
    strategy,
    failover,
    affinity: { by: affinity.by, ttl: affinity.ttl, ...(affinity.header ? { header: affinity.header } : {}) },
    ...longLivedSection(longLived),
    rateLimits: [
      ...shared.map((policy) => ({ ...withoutUndefined(policy), shared: true })),
      ...rateLimits.map(withoutUndefined),
    ],
    access: access.map(withoutUndefined),
    slowStart,
    instances: instances.map(instanceEntry),
  };
}

function longLivedSection({ idle, paths }: ServiceConfig['longLived']): Pick<SnapshotService, 'longLived'> {
  const section = {
    ...(idle === DEFAULT_IDLE_MS ? {} : { idle }),
    ...(paths.length === 0 ? {} : { paths: [...paths] }),
  };
  return Object.keys(section).length === 0 ? {} : { longLived: section };
}

function instanceEntry(instance: Instance): SnapshotInstance {
  const { id, url, publicUrl, state, reason, breaker, weight, priority } = instance;
  const { admin, latencyMs, inflight, since, servingSince, outlier } = instance;
  return {
    id,
    url,
    ...(publicUrl === undefined ? {} : { publicUrl }),
    state,
    reason,
    ...(breaker === 'closed' ? {} : { breaker }),
    ...(weight === 100 ? {} : { weight }),
    ...(outlier && outlier.share > 0 ? { share: outlier.share } : {}),
    ...(priority === 1 ? {} : { priority }),
    ...(latencyMs === null ? {} : { latencyMs }),
    ...(inflight === 0 ? {} : { inflight }),
    since,
    ...(servingSince === undefined || servingSince === since ? {} : { servingSince }),
    ...(admin === 'ready' ? {} : { admin }),
  };
}

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> };
const withoutUndefined = <T extends object>(value: T): Defined<T> =>
  Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== undefined)) as Defined<T>;

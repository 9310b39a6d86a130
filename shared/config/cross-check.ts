import type { Config, RateLimitConfig, ServiceConfig } from './config.ts';
import { discoveryProblems } from './discovery.ts';
import { extraProblems } from './extra.ts';
import { listenerConflicts } from './listener-conflicts.ts';
import { type ConfigProblem, valueAt } from './problem.ts';
import { durationText } from './scalars.ts';

/**
 * Errors between values that are valid alone. `raw` is the data of the text: it shows whether a value is in the service
 * or in `defaults`, so that each error is reported once, where the value is.
 */
export function crossCheck(config: Config, raw: unknown): ConfigProblem[] {
  const problems = [
    ...Object.values(config.services).flatMap((service) => [
      ...timeOrder(service, raw),
      ...affinityHeader(service, raw),
      ...rateLimits(service, raw),
      ...clientCertificate(service, raw),
      ...protocolProblems(service, raw),
      ...(service.instancesFrom
        ? discoveryProblems(service.instancesFrom, ['services', service.id, 'instancesFrom'], raw)
        : []),
    ]),
    ...limitProblems(config.rateLimits, ['rateLimits']),
    ...unknownReceivers(config),
    ...unknownRouteServices(config),
    ...certificateTimes(config),
    ...poolSizes(config),
    ...thresholdOrder(config),
    ...listenerConflicts(config),
    ...extraProblems(config),
    ...fileConflicts(config),
    ...besideProblems(config, raw),
  ];
  const seen = new Set<string>();
  return problems.filter(({ path }) => {
    const key = path.join(' ');
    return !seen.has(key) && seen.add(key);
  });
}

/** The section that has one of the keys: in the service, else in `defaults`. */
function sectionPath(
  service: ServiceConfig,
  raw: unknown,
  section: string,
  keys: readonly string[],
): ConfigProblem['path'] {
  const own = ['services', service.id, section];
  const common = ['defaults', section];
  const hasKey = (path: ConfigProblem['path']) =>
    keys.some((key) => valueAt(raw, [...path, key]) !== undefined);
  return !hasKey(own) && hasKey(common) ? common : own;
}

function timeOrder(service: ServiceConfig, raw: unknown): ConfigProblem[] {
  const { timeout, deadline, health, breaker } = service;
  const problems: ConfigProblem[] = [];
  if (deadline < timeout) {
    problems.push({
      path: ['services', service.id, 'deadline'],
      value: durationText(deadline),
      allowed: `at least timeout (${durationText(timeout)})`,
    });
  }
  if (health.fastInterval > health.interval) {
    problems.push({
      path: [...sectionPath(service, raw, 'health', ['interval', 'fastInterval']), 'fastInterval'],
      value: durationText(health.fastInterval),
      allowed: `at most interval (${durationText(health.interval)})`,
    });
  }
  if (breaker.maxOpenFor < breaker.openFor) {
    problems.push({
      path: [...sectionPath(service, raw, 'breaker', ['openFor', 'maxOpenFor']), 'maxOpenFor'],
      value: durationText(breaker.maxOpenFor),
      allowed: `at least openFor (${durationText(breaker.openFor)})`,
    });
  }
  return problems;
}

function affinityHeader(service: ServiceConfig, raw: unknown): ConfigProblem[] {
  if (service.affinity.by !== 'header' || service.affinity.header) return [];
  const path = [...sectionPath(service, raw, 'affinity', ['by']), 'header'];
  return [{ path, value: undefined, allowed: 'a header name when affinity is by header' }];
}

function rateLimits(service: ServiceConfig, raw: unknown): ConfigProblem[] {
  const own = valueAt(raw, ['services', service.id, 'rateLimits']) !== undefined;
  return limitProblems(
    service.rateLimits,
    own ? ['services', service.id, 'rateLimits'] : ['defaults', 'rateLimits'],
  );
}

function limitProblems(limits: readonly RateLimitConfig[], list: ConfigProblem['path']): ConfigProblem[] {
  return limits.flatMap(({ limit, burst, cost = 1 }, index) => {
    const capacity = burst ?? limit;
    if (cost <= capacity) return [];
    const name = burst === undefined ? 'limit' : 'burst';
    const allowed = `at most ${name} (${capacity}); with more, no request passes`;
    return [{ path: [...list, index, 'cost'], value: cost, allowed }];
  });
}

function clientCertificate(service: ServiceConfig, raw: unknown): ConfigProblem[] {
  const { cert, key } = service.health.tls ?? {};
  if (Boolean(cert) === Boolean(key)) return [];
  const [missing, given] = cert ? ['key', 'cert'] : ['cert', 'key'];
  const path = [...sectionPath(service, raw, 'health', ['tls']), 'tls', missing];
  return [{ path, value: undefined, allowed: `a file: ${given} is set, and each requires the other` }];
}

/** gRPC needs HTTP/2, and the edge speaks only HTTP/1.1 to an instance. */
function protocolProblems({ id, protocol, path, health }: ServiceConfig, raw: unknown): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  if (protocol === 'http2' && path === 'direct') {
    const own = valueAt(raw, ['services', id, 'path']) !== undefined;
    problems.push({
      path: own ? ['services', id, 'path'] : ['defaults', 'path'],
      value: path,
      allowed: `gateway: ${id} has protocol: http2, which only HAProxy can send`,
    });
  }
  if (protocol === 'http1' && health.type === 'grpc') {
    problems.push({
      path: ['services', id, 'protocol'],
      value: undefined,
      allowed: 'http2, because health.type is grpc',
    });
  }
  return problems;
}

function unknownReceivers({ alerts }: Config): ConfigProblem[] {
  const known = new Set(Object.keys(alerts.receivers));
  const allowed = `one of ${[...known].join(', ')}`;
  return alerts.routes.flatMap((route, index) =>
    [...route.to.entries()]
      .filter(([, name]) => !known.has(name))
      .map(([position, value]) => ({ path: ['alerts', 'routes', index, 'to', position], value, allowed })),
  );
}

function unknownRouteServices({ alerts, services }: Config): ConfigProblem[] {
  const known = Object.keys(services);
  return alerts.routes.flatMap((route, index) =>
    [...(route.services ?? []).entries()]
      .filter(([, name]) => !known.includes(name))
      .map(([position, value]) => ({
        path: ['alerts', 'routes', index, 'services', position],
        value,
        allowed: `one of ${known.join(', ')}`,
      })),
  );
}

function certificateTimes({ alerts }: Config): ConfigProblem[] {
  const { warning, critical } = alerts.rules.certificateExpiry;
  if (critical <= warning) return [];
  return [
    {
      path: ['alerts', 'rules', 'certificateExpiry', 'critical'],
      value: durationText(critical),
      allowed: `at most warning (${durationText(warning)})`,
    },
  ];
}

/** HAProxy would read one file twice. */
function fileConflicts({ haproxy }: Config): ConfigProblem[] {
  const { mode, file, mainFile } = haproxy;
  if (mode === 'whole' || file !== mainFile) return [];
  return [{ path: ['haproxy', 'file'], value: file, allowed: 'another file than haproxy.mainFile' }];
}

/** Keys of the section `global`, which our file does not have in mode `beside`. */
function besideProblems({ haproxy }: Config, raw: unknown): ConfigProblem[] {
  if (haproxy.mode === 'whole') return [];
  return ['maxconn', 'threads', 'log', 'name'].flatMap((key) => {
    const path = ['haproxy', key];
    const value = valueAt(raw, path);
    const allowed =
      'no value with mode: beside; set it in the section global of your own file (haproxy.mainFile)';
    return value === undefined ? [] : [{ path, value, allowed }];
  });
}

function poolSizes({ postgres }: Config): ConfigProblem[] {
  const { min, max } = postgres.pool;
  return min > max
    ? [{ path: ['postgres', 'pool', 'min'], value: min, allowed: `at most max (${max})` }]
    : [];
}

/** Thresholds rise with severity; those of availability fall. */
function thresholdOrder({ monitor }: Config): ConfigProblem[] {
  return Object.entries(monitor.thresholds).flatMap(([metric, { warning, critical, emergency }]) => {
    const falls = metric === 'availabilityPercent';
    const inOrder = (a: number, b: number) => (falls ? a >= b : a <= b);
    if (inOrder(warning, critical) && inOrder(critical, emergency)) return [];
    const allowed = `warning, critical and emergency ${falls ? 'falling' : 'rising'} in this order`;
    const value = `${warning}, ${critical}, ${emergency}`;
    return [{ path: ['monitor', 'thresholds', metric], value, allowed }];
  });
}

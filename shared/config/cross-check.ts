import type { Config, RateLimitConfig, ServiceConfig } from './config.ts';
import { listenerConflicts } from './listener-conflicts.ts';
import { type ConfigProblem, valueAt } from './problem.ts';

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
    ]),
    ...limitProblems(config.rateLimits, ['rateLimits']),
    ...unknownReceivers(config),
    ...poolSizes(config),
    ...thresholdOrder(config),
    ...listenerConflicts(config),
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
    const allowed = `at least timeout (${msText(timeout)})`;
    problems.push({ path: ['services', service.id, 'deadline'], value: msText(deadline), allowed });
  }
  if (health.fastInterval > health.interval) {
    const path = [...sectionPath(service, raw, 'health', ['interval', 'fastInterval']), 'fastInterval'];
    problems.push({
      path,
      value: msText(health.fastInterval),
      allowed: `at most interval (${msText(health.interval)})`,
    });
  }
  if (breaker.maxOpenFor < breaker.openFor) {
    const path = [...sectionPath(service, raw, 'breaker', ['openFor', 'maxOpenFor']), 'maxOpenFor'];
    problems.push({
      path,
      value: msText(breaker.maxOpenFor),
      allowed: `at least openFor (${msText(breaker.openFor)})`,
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
  return limits.flatMap((limit, index) => {
    const problems: ConfigProblem[] = [];
    const capacity = limit.burst ?? limit.limit;
    if (limit.cost !== undefined && limit.cost > capacity) {
      const allowed = `at most ${limit.burst === undefined ? 'limit' : 'burst'} (${capacity}); with more, no request passes`;
      problems.push({ path: [...list, index, 'cost'], value: limit.cost, allowed });
    }
    return problems;
  });
}

function clientCertificate(service: ServiceConfig, raw: unknown): ConfigProblem[] {
  const { cert, key } = service.health.tls ?? {};
  if (Boolean(cert) === Boolean(key)) return [];
  const [missing, given] = cert ? ['key', 'cert'] : ['cert', 'key'];
  const path = [...sectionPath(service, raw, 'health', ['tls']), 'tls', missing];
  return [{ path, value: undefined, allowed: `a file: ${given} is set, and each requires the other` }];
}

function unknownReceivers({ alerts }: Config): ConfigProblem[] {
  const known = Object.keys(alerts.receivers);
  return alerts.routes.flatMap((route, index) =>
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

/** Milliseconds as the file writes them. */
function msText(ms: number): string {
  return ms % 1000 === 0 ? `${ms / 1000}s` : `${ms}ms`;
}

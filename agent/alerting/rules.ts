import type { Config } from '../../shared/config/config.ts';
import type { ServiceSummary, SiteSummary, TrafficMeasures } from './summary.ts';

export type RuleName = keyof Config['monitor']['thresholds'];

/** The measured value of one rule. Null when there are too few samples. */
export interface RuleReading {
  rule: RuleName;
  /** '' for rules of the site and its host. */
  service: string;
  value: number | null;
  /** For people: the number of samples, the worst instance. */
  detail: string;
}

/** Latency, availability and error rate of each service; users, CPU and memory of the site. */
export function readRules(summary: SiteSummary, minimumSamples: number): RuleReading[] {
  const enough = (value: number | null, samples: number) => (samples >= minimumSamples ? value : null);
  const { total, host } = summary;
  const site = [
    { rule: 'users', value: enough(total.concurrency, total.samples) },
    { rule: 'cpuPercent', value: enough(host.cpuPercent, host.samples) },
    { rule: 'memoryPercent', value: enough(host.memoryPercent, host.samples) },
  ] as const;
  return [
    ...summary.services.flatMap((service): RuleReading[] => [
      {
        rule: 'p95Ms',
        service: service.id,
        value: enough(service.p95Ms, service.latencySamples),
        detail: `over ${service.latencySamples} requests${worst(service, 'p95Ms', 'ms')}`,
      },
      {
        rule: 'availabilityPercent',
        service: service.id,
        // With too few requests to judge, the instances stand in for them: no request fails at night, but it would.
        value:
          enough(service.availabilityPercent, service.requests) ??
          enough(service.servingPercent, service.samples),
        detail: `${service.up} of ${service.of} instances serving${downReasons(service)}`,
      },
      {
        rule: 'errorPercent',
        service: service.id,
        value: enough(service.errorPercent, service.requests),
        detail: `${service.failed} of ${service.requests} requests failed${worst(service, 'errorPercent', '% of its attempts')}`,
      },
    ]),
    ...site.map((one): RuleReading => ({ ...one, service: '', detail: '' })),
  ];
}

function worst(service: ServiceSummary, measure: keyof TrafficMeasures, unit: string): string {
  const [first] = service.instances
    .filter((instance) => instance[measure] !== null)
    .sort((a, b) => Number(b[measure]) - Number(a[measure]));
  if (!first || service.instances.length < 2) return '';
  return `; worst: ${first.id} with ${Number(first[measure]).toFixed(1)} ${unit}`;
}

function downReasons(service: ServiceSummary): string {
  const down = service.instances.filter(({ state }) => state === 'down');
  return down.map(({ id, reason }) => `; ${id}: ${reason}`).join('');
}

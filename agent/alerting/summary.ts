import type { Config } from '../../shared/config/config.ts';
import { isServingState } from '../../shared/serving.ts';
import { sketchQuantile } from '../../shared/sketch.ts';
import { type Instance, instanceKey } from '../core/state.ts';
import { emptyTotals, type TrafficTotals, type TrafficWindow } from '../core/traffic-window.ts';

/** Null where nothing was measured. */
export interface TrafficMeasures {
  requests: number;
  perSecond: number;
  errorPercent: number | null;
  /** Percentiles of `latencySamples` requests, in milliseconds. */
  p50Ms: number | null;
  p95Ms: number | null;
  p99Ms: number | null;
  latencySamples: number;
  /** Share of the `samples` that found it able to take traffic. */
  availabilityPercent: number | null;
  samples: number;
  /** Mean of requests in flight plus queued. */
  concurrency: number | null;
  queuedMax: number;
}

export interface InstanceSummary extends TrafficMeasures {
  id: string;
  state: Instance['state'];
  reason: string;
}

export interface ServiceSummary extends TrafficMeasures {
  id: string;
  up: number;
  of: number;
  instances: InstanceSummary[];
}

export interface SiteSummary {
  at: number;
  site: string;
  windowSeconds: number;
  total: TrafficMeasures;
  host: { cpuPercent: number | null; memoryPercent: number | null; samples: number };
  services: ServiceSummary[];
}

export interface SiteSummaryInput {
  config: Config;
  window: TrafficWindow;
  instances: Iterable<Instance>;
  now: number;
  /** How far back; default: the monitor's window. */
  spanMs?: number;
  /** Start of the agent: a window that is not full yet has this start. */
  since: number;
}

export function summarizeTraffic(input: SiteSummaryInput): SiteSummary {
  const { config, window, instances, now, since, spanMs = config.monitor.window } = input;
  const { totals, host } = window.read(now, spanMs);
  const windowSeconds = Math.max(1, Math.min(spanMs, now - since) / 1000);
  const of = (service: string, instance: string): TrafficMeasures =>
    measure(totals.get(instanceKey(service, instance)) ?? emptyTotals(), windowSeconds);
  const byService = Map.groupBy(instances, (instance) => instance.service);
  return {
    at: now,
    site: config.site.id,
    windowSeconds: Math.round(windowSeconds),
    total: of('', ''),
    host: {
      cpuPercent: host.samples > 0 ? host.cpuSum / host.samples : null,
      memoryPercent: host.samples > 0 ? host.memorySum / host.samples : null,
      samples: host.samples,
    },
    services: Object.keys(config.services).map((id) => {
      const list = byService.get(id) ?? [];
      return {
        id,
        up: list.filter(({ state }) => isServingState(state)).length,
        of: list.length,
        ...of(id, ''),
        instances: list.map(({ id: instance, state, reason }) => ({
          id: instance,
          state,
          reason,
          ...of(id, instance),
        })),
      };
    }),
  };
}

function measure(totals: TrafficTotals, windowSeconds: number): TrafficMeasures {
  const { failure, latency, samples } = totals;
  const requests = totals.success + failure;
  const quantile = (q: number) => (latency ? sketchQuantile(latency, q) : null);
  return {
    requests,
    perSecond: requests / windowSeconds,
    errorPercent: requests > 0 ? (100 * failure) / requests : null,
    p50Ms: quantile(0.5),
    p95Ms: quantile(0.95),
    p99Ms: quantile(0.99),
    latencySamples: latency?.count ?? 0,
    availabilityPercent: samples > 0 ? (100 * totals.upSamples) / samples : null,
    samples,
    concurrency: samples > 0 ? totals.concurrencySum / samples : null,
    queuedMax: totals.queuedMax,
  };
}

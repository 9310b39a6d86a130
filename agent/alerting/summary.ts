import type { Config } from '../../shared/config/config.ts';
import { isServingState } from '../../shared/serving.ts';
import { sketchQuantile } from '../../shared/sketch.ts';
import { type Instance, instanceKey } from '../core/state.ts';
import { emptyTotals, type TrafficTotals, type TrafficWindow } from '../core/traffic-window.ts';
import { finish } from '../lib/slices.ts';

/**
 * Null where nothing was measured. Of a service and the site, `requests` to `p99Ms` are requests as clients saw them, each
 * counted once. Of an instance, they are its attempts.
 */
export interface TrafficMeasures {
  requests: number;
  /** 5xx, or no complete response. */
  failed: number;
  perSecond: number;
  errorPercent: number | null;
  /** Percentiles of `latencySamples` requests, in milliseconds. */
  p50Ms: number | null;
  p95Ms: number | null;
  p99Ms: number | null;
  latencySamples: number;
  /** Share of requests that did not fail. Of an instance, and of a service without requests: `servingPercent`. */
  availabilityPercent: number | null;
  /** Share of the `samples` that found it able to take traffic. */
  servingPercent: number | null;
  samples: number;
  attempts: number;
  /** Of a service and the site: attempts after a failed one, copies of late attempts, and requests rejected with 429. */
  retries: number;
  hedges: number;
  limited: number;
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

const STEP_INSTANCES = 100;

export const summarizeTraffic = (input: SiteSummaryInput): SiteSummary => finish(summarySteps(input));

/** Like `summarizeTraffic`, in small steps. */
export function* summarySteps(input: SiteSummaryInput): Generator<void, SiteSummary> {
  const { config, window, instances, now, since, spanMs = config.monitor.window } = input;
  const { totals, host } = yield* window.readSteps(now, spanMs);
  const windowSeconds = Math.max(1, Math.min(spanMs, now - since) / 1000);
  const totalsFor = (service: string, instance = '') =>
    totals.get(instanceKey(service, instance)) ?? emptyTotals();
  const byService = Map.groupBy(instances, (instance) => instance.service);
  yield;
  const services: ServiceSummary[] = [];
  for (const id of Object.keys(config.services)) {
    const list = byService.get(id) ?? [];
    const members: InstanceSummary[] = [];
    for (const { id: instance, state, reason } of list) {
      members.push({
        id: instance,
        state,
        reason,
        ...measureInstance(totalsFor(id, instance), windowSeconds),
      });
      if (members.length % STEP_INSTANCES === 0) yield;
    }
    services.push({
      id,
      up: list.filter(({ state }) => isServingState(state)).length,
      of: list.length,
      ...measure(totalsFor(id), windowSeconds),
      instances: members,
    });
    yield;
  }
  return {
    at: now,
    site: config.site.id,
    windowSeconds: Math.round(windowSeconds),
    total: measure(totalsFor(''), windowSeconds),
    host: {
      cpuPercent: host.samples > 0 ? host.cpuSum / host.samples : null,
      memoryPercent: host.samples > 0 ? host.memorySum / host.samples : null,
      samples: host.samples,
    },
    services,
  };
}

export function measure(totals: TrafficTotals, windowSeconds: number): TrafficMeasures {
  const { failure, latency, samples } = totals;
  const requests = totals.success + failure;
  const quantile = (q: number) => (latency ? sketchQuantile(latency, q) : null);
  const servingPercent = samples > 0 ? (100 * totals.upSamples) / samples : null;
  const errorPercent = requests > 0 ? (100 * failure) / requests : null;
  return {
    requests,
    failed: failure,
    perSecond: requests / windowSeconds,
    errorPercent,
    p50Ms: quantile(0.5),
    p95Ms: quantile(0.95),
    p99Ms: quantile(0.99),
    latencySamples: latency?.count ?? 0,
    availabilityPercent: errorPercent === null ? servingPercent : 100 - errorPercent,
    servingPercent,
    samples,
    attempts: totals.attempts,
    retries: totals.retries,
    hedges: totals.hedges,
    limited: totals.limited,
    concurrency: samples > 0 ? totals.concurrencySum / samples : null,
    queuedMax: totals.queuedMax,
  };
}

/** An instance is available while it can serve: a failed attempt need not be a failed request. */
function measureInstance(totals: TrafficTotals, windowSeconds: number): TrafficMeasures {
  const measures = measure({ ...totals, attempts: totals.success + totals.failure }, windowSeconds);
  return { ...measures, availabilityPercent: measures.servingPercent };
}

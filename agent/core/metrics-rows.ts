import type { HostLoad } from './host-load.ts';
import type { MetricsRow } from './sink.ts';
import { type Instance, instanceKey } from './state.ts';
import type { TrafficTotals } from './traffic-window.ts';

/**
 * One row of `load_balancing_metrics` per instance. For an instance without timed requests, `responseTime` is that of
 * its last successful probe.
 */
export function metricsRows(
  instances: Iterable<Instance>,
  totals: ReadonlyMap<string, TrafficTotals> | undefined,
  host: HostLoad,
  now: number,
): MetricsRow[] {
  return Array.from(instances, (instance) => {
    const {
      success = 0,
      failure = 0,
      latency,
    } = totals?.get(instanceKey(instance.service, instance.id)) ?? {};
    const meanMs = latency?.count ? latency.sum / latency.count : (instance.latencyMs ?? 0);
    return {
      serviceType: instance.service,
      instanceId: instance.id,
      timestamp: now / 1000,
      responseTime: meanMs / 1000,
      successCount: success,
      failureCount: failure,
      currentConnections: instance.inflight,
      totalRequests: success + failure,
      cpuUsage: host.cpuPercent,
      memoryUsage: host.memoryPercent,
    };
  });
}

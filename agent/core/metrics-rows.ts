import type { HostLoad } from './host-load.ts';
import type { MetricsRow } from './sink.ts';
import { type Instance, instanceKey } from './state.ts';
import type { TrafficTotals } from './traffic-window.ts';

const STEP_INSTANCES = 250;

/**
 * One row of `load_balancing_metrics` per instance. For an instance without timed requests, `responseTime` is that of
 * its last successful probe. In small steps.
 */
export function* metricsRowSteps(
  instances: Iterable<Instance>,
  totals: ReadonlyMap<string, TrafficTotals> | undefined,
  host: HostLoad,
  now: number,
): Generator<void, MetricsRow[]> {
  const rows: MetricsRow[] = [];
  for (const instance of instances) {
    const {
      success = 0,
      failure = 0,
      latency,
    } = totals?.get(instanceKey(instance.service, instance.id)) ?? {};
    const meanMs = latency?.count ? latency.sum / latency.count : (instance.latencyMs ?? 0);
    rows.push({
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
    });
    if (rows.length % STEP_INSTANCES === 0) yield;
  }
  return rows;
}

/** A row of `load_balancing_metrics`, also the value of the Redis key `lb:metrics:…`. */
export function metricsColumns(row: MetricsRow): Record<string, unknown> {
  return {
    service_type: row.serviceType,
    instance_id: row.instanceId,
    timestamp: row.timestamp,
    response_time: row.responseTime,
    success_count: row.successCount,
    failure_count: row.failureCount,
    current_connections: row.currentConnections,
    total_requests: row.totalRequests,
    cpu_usage: row.cpuUsage,
    memory_usage: row.memoryUsage,
  };
}

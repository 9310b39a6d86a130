import type { HostLoad } from './host-load.ts';
import type { MetricsRow } from './sink.ts';
import { type Instance, instanceKey, type TrafficDelta } from './state.ts';

interface Sums {
  success: number;
  failure: number;
  latencySum: number;
  latencyCount: number;
}

/** Adds up traffic between two rows of `load_balancing_metrics`. */
export interface TrafficLedger {
  add(delta: TrafficDelta): void;
  /** One row for every instance, then starts over. Without requests, `responseTime` is the last good probe's. */
  rows(instances: Iterable<Instance>, host: HostLoad, now: number): MetricsRow[];
}

export function createTrafficLedger(): TrafficLedger {
  let sums = new Map<string, Sums>();
  return {
    add(delta) {
      const key = instanceKey(delta.service, delta.instance);
      const sum = sums.get(key) ?? { success: 0, failure: 0, latencySum: 0, latencyCount: 0 };
      sum.success += delta.success;
      sum.failure += delta.failure;
      sum.latencySum += delta.latency?.sum ?? 0;
      sum.latencyCount += delta.latency?.count ?? 0;
      sums.set(key, sum);
    },
    rows(instances, host, now) {
      const finished = sums;
      sums = new Map();
      return Array.from(instances, (instance) => {
        const sum = finished.get(instanceKey(instance.service, instance.id));
        const meanMs = sum?.latencyCount ? sum.latencySum / sum.latencyCount : (instance.latencyMs ?? 0);
        return {
          serviceType: instance.service,
          instanceId: instance.id,
          timestamp: now / 1000,
          responseTime: meanMs / 1000,
          successCount: sum?.success ?? 0,
          failureCount: sum?.failure ?? 0,
          currentConnections: instance.inflight,
          totalRequests: (sum?.success ?? 0) + (sum?.failure ?? 0),
          cpuUsage: host.cpuPercent,
          memoryUsage: host.memoryPercent,
        };
      });
    },
  };
}

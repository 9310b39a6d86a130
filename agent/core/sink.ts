import type { Change, Instance } from './state.ts';

/**
 * Where judgement goes. A sink is told of every change and holds its own bounded queue and backoff: `accept` never
 * waits, never throws, and a dead sink delays nobody. What it missed it catches up by itself.
 */
export interface Sink {
  readonly name: 'haproxy' | 'redis' | 'postgres' | 'snapshot';
  accept(update: Update): void;
  /** For /health, /metrics and the dashboard. */
  status(): SinkStatus;
  /** Delivers what is possible within `timeoutMs`, then lets go of every resource. */
  close(timeoutMs: number): Promise<void>;
}

export interface Update {
  at: number;
  /** Every instance after the change, by `service/instance`. Not to be mutated. */
  instances: ReadonlyMap<string, Instance>;
  /** Empty on a plain refresh (every few seconds). */
  changes: readonly Change[];
  /** Rows for `load_balancing_metrics`, once every 10 s. */
  metrics?: readonly MetricsRow[];
}

/** One row of `load_balancing_metrics`; counts are this row's own, `responseTime` their mean in seconds. */
export interface MetricsRow {
  serviceType: string;
  instanceId: string;
  /** Epoch seconds. */
  timestamp: number;
  responseTime: number;
  successCount: number;
  failureCount: number;
  currentConnections: number;
  totalRequests: number;
  cpuUsage: number;
  memoryUsage: number;
}

export interface SinkStatus {
  state: 'ok' | 'retrying' | 'down';
  /** Updates or rows waiting, in memory and on disk. */
  pending: number;
  dropped: number;
  lastSuccess: number | null;
  lastError: string | null;
}

import type { Change, Instance } from './state.ts';

/**
 * A destination for the state of instances. A sink receives every change and has its own bounded queue and backoff:
 * `accept` never waits and never throws, and a failed sink delays no other. A sink resynchronizes by itself.
 */
export interface Sink {
  readonly name: 'haproxy' | 'redis' | 'postgres' | 'snapshot';
  accept(update: Update): void;
  /** For /health, /metrics and the dashboard. */
  status(): SinkStatus;
  /** Delivers as much as possible within `timeoutMs`, then releases every resource. */
  close(timeoutMs: number): Promise<void>;
}

export interface Update {
  at: number;
  /** Every instance after the change, by `service/instance`. */
  instances: ReadonlyMap<string, Instance>;
  /** Empty on a plain refresh (every few seconds). */
  changes: readonly Change[];
  /** Rows for `load_balancing_metrics`, once every 10 s. */
  metrics?: readonly MetricsRow[];
}

/** One row of `load_balancing_metrics`: counts since the previous row, and their mean `responseTime` in seconds. */
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
  /** Updates or rows that wait in memory and on disk. */
  pending: number;
  dropped: number;
  lastSuccess: number | null;
  lastError: string | null;
}

import { expect, test } from 'vitest';
import type { Instance } from '../core/state.ts';
import { liveEntries } from './entries.ts';
import { liveKeys } from './keys.ts';

const instance: Instance = {
  id: 'gs-1',
  service: 'gs',
  url: 'http://127.0.0.1:8004',
  origin: 'file',
  state: 'down',
  reason: 'breaker open',
  since: 1,
  health: 'up',
  breaker: 'open',
  admin: 'ready',
  weight: 100,
  priority: 1,
  latencyMs: 12,
  inflight: 3,
  queued: 0,
  metadata: {},
  lastProbe: { kind: 'probe', service: 'gs', instance: 'gs-1', at: 5_000, ok: true, latencyMs: 12 },
};

test('writes the live state in the format of the original', () => {
  const row = {
    serviceType: 'gs',
    instanceId: 'gs-1',
    timestamp: 5,
    responseTime: 0.012,
    successCount: 9,
    failureCount: 1,
    currentConnections: 3,
    totalRequests: 10,
    cpuUsage: 5,
    memoryUsage: 40,
  };
  const entries = [
    ...liveEntries({
      keys: liveKeys('main'),
      update: { at: 6_000, instances: new Map([['gs/gs-1', instance]]), changes: [] },
      services: ['gs', 'ec'],
      rows: new Map([['gs/gs-1', row]]),
      totals: new Map([['gs/gs-1', { requests: 100, failures: 7 }]]),
    }),
  ].flat();
  const byKey = Object.fromEntries(
    entries.map(({ key, value, ttlSeconds }) => [key, { ttlSeconds, value: JSON.parse(value) as unknown }]),
  );
  expect(byKey).toEqual({
    'lb:instances:main:gs': {
      ttlSeconds: 300,
      value: [
        {
          instance_id: 'gs-1',
          base_url: 'http://127.0.0.1:8004',
          port: 8004,
          // Its health is up, but its breaker is open: readers must not pick it.
          status: 'unhealthy',
          response_time: 0.012,
          weight: 100,
          current_connections: 3,
          total_requests: 100,
          failed_requests: 7,
          last_check: 5,
        },
      ],
    },
    'lb:instances:main:ec': { ttlSeconds: 300, value: [] },
    'lb:health:main:gs:gs-1': {
      ttlSeconds: 60,
      value: { is_healthy: true, response_time: 0.012, timestamp: 5 },
    },
    'lb:breaker:main:gs:gs-1': {
      ttlSeconds: 600,
      value: { state: 'open', reason: 'breaker open', timestamp: 6 },
    },
    'lb:metrics:main:gs:gs-1': {
      ttlSeconds: 600,
      value: {
        service_type: 'gs',
        instance_id: 'gs-1',
        timestamp: 5,
        response_time: 0.012,
        success_count: 9,
        failure_count: 1,
        current_connections: 3,
        total_requests: 10,
        cpu_usage: 5,
        memory_usage: 40,
      },
    },
  });
});

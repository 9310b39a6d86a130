import type { Instance } from '../../agent/core/state.ts';

/** An instance that is up and has served no request, with the given differences. */
export const sampleInstance = (more: Partial<Instance> & { id: string }): Instance => ({
  service: 'gs',
  url: 'http://127.0.0.1:8004',
  origin: 'file',
  state: 'up',
  reason: '',
  since: 0,
  health: 'up',
  breaker: 'closed',
  admin: 'ready',
  weight: 100,
  priority: 1,
  latencyMs: null,
  inflight: 0,
  queued: 0,
  metadata: {},
  ...more,
});

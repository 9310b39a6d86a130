import type { StatusDocument, StatusInstance, StatusService } from '../../agent/http/schemas/status.ts';

const rates = { perSecond: 0, errorPercent: null, p50: null, p95: null, p99: null };
/** No request in the last minute. */
export const quietTraffic: StatusService['traffic'] = {
  ...rates,
  requests: 0,
  failed: 0,
  attempts: 0,
  retries: 0,
  hedges: 0,
  limited: 0,
  history: { until: 0, perSecond: [], errorPercent: [], p95: [] },
};

export const sampleStatusInstance = (
  service: string,
  id: string,
  state: StatusInstance['state'],
): StatusInstance => ({
  id,
  service,
  url: 'http://127.0.0.1:1',
  origin: 'file',
  state,
  reason: 'as it is',
  health: 'up',
  breaker: 'closed',
  admin: 'ready',
  weight: 100,
  priority: 1,
  since: 0,
  latencyMs: null,
  traffic: rates,
  trafficPercent: null,
  inflight: 0,
  queued: 0,
});

/** A service with one instance for each state. */
export const sampleStatusService = (
  id: string,
  states: readonly StatusInstance['state'][],
): StatusService => ({
  id,
  routes: ['/'],
  timeoutMs: 1,
  maxconn: 1,
  traffic: quietTraffic,
  inflight: 0,
  queued: 0,
  instances: states.map((state, index) => sampleStatusInstance(id, `${id}-${index + 1}`, state)),
});

export const sampleStatus = (
  services: StatusService[],
  more: Partial<StatusDocument> = {},
): StatusDocument => ({
  at: 60_000,
  version: '1',
  site: 'main',
  startedAt: 0,
  ready: true,
  leader: { role: 'single', holder: null },
  snapshot: { epoch: 1, seq: 2, publishedAt: 0, error: null },
  alerts: [],
  sources: [],
  sinks: {},
  total: { ...quietTraffic, inflight: 0, queued: 0 },
  services,
  edge: { isolates: 0, lastReport: null, oldest: null, newest: null, requests: [], limits: [] },
  changes: [],
  ...more,
});

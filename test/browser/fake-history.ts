import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Change, Instance } from '../../agent/core/state.ts';

const STEPS = 120;
const WINDOWS: Record<string, number> = {
  '15m': 900_000,
  '1h': 3_600_000,
  '6h': 21_600_000,
  '24h': 86_400_000,
  '7d': 604_800_000,
  '30d': 2_592_000_000,
};

/** The history routes of the agent, with curves that depend only on time. Without Postgres they answer 503. */
export function registerFakeHistory(
  app: OpenAPIHono,
  state: { instances: ReadonlyMap<string, Instance>; unavailable: { postgres: boolean } },
  changes: readonly Change[],
): void {
  const unavailable = { title: 'History unavailable', detail: 'Postgres does not answer', status: 503 };
  app.get('/v1/history', (context) => {
    if (state.unavailable.postgres) return context.json(unavailable, 503);
    const { service, instance, since, until, window = '1h' } = context.req.query();
    const to = Number(until ?? Date.now());
    const from = Number(since ?? to - (WINDOWS[window] ?? 3_600_000));
    return context.json({ site: 'main', service, instance, ...columns(from, to, instance !== undefined) });
  });
  app.get('/v1/events', (context) => {
    const { service, instance, since, until, limit = '100', before } = context.req.query();
    if (since === undefined) {
      const text = changes.map((change) => `event: change\ndata: ${JSON.stringify(change)}\n\n`).join('');
      return context.body(text, 200, { 'content-type': 'text/event-stream' });
    }
    if (state.unavailable.postgres) return context.json(unavailable, 503);
    const found = [...changes.toReversed(), ...pastEvents(Number(since), Number(until ?? Date.now()))].filter(
      (change) =>
        (service === undefined || change.service === service) &&
        (instance === undefined || change.instance === instance),
    );
    const start = Number(before ?? 0);
    const end = start + Number(limit);
    return context.json({
      events: found.slice(start, end).map((event, index) => ({ id: `s${start + index}`, ...event })),
      next: end < found.length ? String(end) : null,
    });
  });
}

function columns(from: number, to: number, ofInstance: boolean) {
  const stepMs = (to - from) / STEPS;
  const stepSeconds = stepMs / 1000;
  const times = Array.from({ length: STEPS }, (_, index) => Math.round(from + index * stepMs));
  const curve = (base: number, swing: number, hidden = false) =>
    times.map((_, index) =>
      hidden && index > 40 && index < 46
        ? null
        : Math.max(0, base + swing * Math.sin(index / 9) + swing * 0.4 * Math.sin(index * 1.7)),
    );
  const incident = (value: number, before = 0) =>
    times.map((_, index) => (index > 70 && index < 84 ? value : before));
  const rate = (perSecond: number) =>
    curve(perSecond, perSecond / 4).map((value) => (value ?? 0) * stepSeconds);
  const series = {
    requests: rate(40),
    failed: incident(3 * stepSeconds),
    errorPercent: incident(6.2, 0.02),
    availabilityPercent: incident(93.8, 99.98),
    p50Ms: curve(22, 3, true),
    p95Ms: curve(180, 30, true).map((value, index) => (index > 70 && index < 84 ? 640 : value)),
    p99Ms: curve(240, 40, true),
    attempts: rate(41),
    retries: incident(2 * stepSeconds),
    hedges: rate(0.3),
    limited: rate(0.4),
    status2xx: rate(38),
    status3xx: rate(0),
    status4xx: rate(1.5),
    status5xx: incident(3 * stepSeconds),
    concurrency: curve(3, 1),
    queuedMax: incident(4),
    servingPercent: incident(50, 100),
    sessions: curve(12, 4),
  };
  const own = {
    probes: times.map(() => 6),
    probesFailed: incident(5),
    probeMs: curve(2.4, 0.4),
    breakerOpenPercent: incident(80),
    outlierPercent: incident(0),
    trafficPercent: incident(4, 50),
  };
  const peers = {
    count: 1,
    p50Ms: curve(20, 2),
    p95Ms: curve(150, 20),
    errorPercent: incident(0.2, 0.01),
    totals: {},
  };
  return {
    of: ofInstance ? 'attempts' : 'requests',
    from,
    to,
    stepSeconds,
    source: 'minutes',
    times,
    series: { ...series, ...(ofInstance && own) },
    totals: {},
    ...(ofInstance && { peers }),
  };
}

/** An incident of gs-1, a deploy before it and a change of the configuration after it. */
function pastEvents(from: number, to: number) {
  const at = (part: number) => Math.round(from + part * (to - from));
  const gs = { service: 'gs', instance: 'gs-1' };
  const probes = '3 of 3 probes failed: connect refused 127.0.0.1:8004';
  const alert = { id: 'a7', rule: 'redundancyLost', severity: 'critical' };
  return [
    {
      at: at(0.9),
      kind: 'config',
      service: '',
      instance: '',
      reason: 'gs.rateLimits.per-ip.limit: 20 → 500',
      by: 'ada',
    },
    {
      at: at(0.705),
      kind: 'alert',
      ...gs,
      instance: '',
      to: 'resolved',
      reason: 'gs: all 2 instances serve again',
      alert,
    },
    { at: at(0.7), kind: 'state', ...gs, from: 'down', to: 'up', reason: '2 of 2 probes passed' },
    {
      at: at(0.595),
      kind: 'alert',
      ...gs,
      instance: '',
      to: 'firing',
      reason: 'gs: only gs-2 serves (1 of 2)',
      alert,
    },
    { at: at(0.59), kind: 'state', ...gs, from: 'up', to: 'down', reason: probes },
    { at: at(0.55), kind: 'rollout', ...gs, to: 'started', reason: 'deploy of 1.42', by: 'ci' },
  ];
}

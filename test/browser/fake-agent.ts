import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { serve } from '@hono/node-server';
import { OpenAPIHono } from '@hono/zod-openapi';
import { emptyRequests } from '../../agent/core/requests.ts';
import type { AdminState, Change, Instance, TrafficDelta } from '../../agent/core/state.ts';
import { createTrafficWindow } from '../../agent/core/traffic-window.ts';
import { sendVersion } from '../../agent/http/api/app.ts';
import { registerDashboard } from '../../agent/http/dashboard/routes.ts';
import { createStatusView, type StatusView } from '../../agent/http/dashboard/status.ts';
import type { ApiAlert } from '../../agent/http/schemas/alerts.ts';
import type { RouteExplanation } from '../../agent/http/schemas/control.ts';
import type { AgentStatus } from '../../agent/http/schemas/status.ts';
import type { Config } from '../../shared/config/config.ts';
import { parseConfig } from '../../shared/config/load.ts';
import { addToSketch, emptySketch } from '../../shared/sketch.ts';
import { registerFakeHistory } from './fake-history.ts';
import { type GovernanceSession, registerFakeSessions } from './fake-sessions.ts';

/**
 * The real dashboard and status view with fake instances, and the parts of the API that the page and the command use.
 * It can show any state on demand.
 */
export interface FakeAgent {
  url: string;
  token: string;
  instances: Map<string, Instance>;
  alerts: ApiAlert[];
  sessions: GovernanceSession[];
  unavailable: { postgres: boolean };
  /** Writes received, oldest first. */
  writes: { path: string; body: unknown }[];
  changeInstance(key: string, to: Partial<Instance>, reason: string): void;
  agent: AgentStatus;
  /** Closes every connection, like an agent that restarts. */
  dropConnections(): void;
  close(): Promise<void>;
}

const TICK_MS = 1_000;
const HISTORY_MS = 300_000;

/**
 * `fleet`: instances per service; 0 takes them from acgs-lb.yaml. `version`: that of the answers; without it, the command
 * validates them.
 */
export async function startFakeAgent({
  port = 0,
  history = true,
  fleet = 0,
  version = '',
} = {}): Promise<FakeAgent> {
  const config = parseConfig(readFileSync(new URL('../../acgs-lb.yaml', import.meta.url), 'utf8'));
  const now = Date.now();
  const instances = makeInstances(config, fleet, now);
  const window = createTrafficWindow();
  const view = createStatusView({ config: () => config, window });
  const random = seeded(7);
  const tick = (at: number): void => {
    for (const delta of makeTraffic(instances, at, random)) {
      window.addTraffic(delta);
      const { service, success, failure, latency } = delta;
      window.addRequests({
        ...emptyRequests('gateway', service, at),
        statuses: { '2xx': success, '3xx': 0, '4xx': 0, '5xx': failure },
        ...(latency && { latency }),
      });
    }
    view.accept({ at, instances, changes: [] });
  };
  if (history) for (let at = now - HISTORY_MS; at < now; at += TICK_MS) tick(at);
  else view.accept({ at: now, instances, changes: [] });
  view.edgeReport(makeEdgeReport(now));

  const changes: Change[] = [];
  const alerts: FakeAgent['alerts'] = [];
  const state = {
    token: 'let-me-in',
    instances,
    writes: [] as FakeAgent['writes'],
    alerts,
    sessions: [] as GovernanceSession[],
    unavailable: { postgres: false },
    agent: { ...makeAgentStatus(config, now), alerts },
    changeInstance(key: string, to: Partial<Instance>, reason: string) {
      const change = applyChange(instances, key, to, reason);
      view.accept({ at: change.at, instances, changes: [change] });
      changes.push(change);
    },
  };

  const app = new OpenAPIHono();
  requireToken(app, state.token);
  if (version) app.use('/v1/*', sendVersion(version));
  registerInstanceRoutes(app, config, state);
  registerAlertRoutes(app, state);
  registerFakeSessions(app, state);
  app.get('/v1/explain', (context) => context.json(explain(instances)));
  registerFakeHistory(app, state, changes);
  registerDashboard(app, { view, status: () => state.agent });
  const server = await listen(app, port);
  const timer = setInterval(() => tick(Date.now()), TICK_MS);
  return {
    ...state,
    url: server.url,
    dropConnections: server.dropConnections,
    close: async () => {
      clearInterval(timer);
      await server.close();
    },
  };
}

type FakeState = Pick<FakeAgent, 'instances' | 'alerts' | 'writes' | 'changeInstance'>;

function requireToken(app: OpenAPIHono, token: string): void {
  app.use('/v1/*', async (context, next) => {
    if (context.req.method !== 'GET' && context.req.header('authorization') !== `Bearer ${token}`) {
      return context.json({ title: 'Not authorised', status: 401, detail: 'the bearer token is wrong' }, 401);
    }
    return next();
  });
}

function registerInstanceRoutes(app: OpenAPIHono, { services }: Config, state: FakeState): void {
  const instancesOf = (service: string) =>
    [...state.instances.values()].filter((instance) => instance.service === service);
  app.get('/v1/services', (context) =>
    context.json({
      services: Object.values(services).map(({ id, routes, strategy, timeout, maxconn }) => {
        const instances = instancesOf(id);
        const up = instances.filter(({ state }) => state === 'up').length;
        return { id, routes, strategy, timeoutMs: timeout, maxconn, up, instances };
      }),
    }),
  );
  app.get('/v1/services/:service/instances', (context) =>
    context.json({ instances: instancesOf(context.req.param('service')) }),
  );
  app.get('/v1/services/:service/instances/:id', (context) => {
    const { service, id } = context.req.param();
    const instance = state.instances.get(`${service}/${id}`);
    if (!instance) return context.json({ title: 'Not found', detail: `no instance ${id}`, status: 404 }, 404);
    const lastProbe = { at: Date.now() - 2_000, ok: instance.health === 'up', latencyMs: 2.4 };
    return context.json({ ...instance, lastProbe });
  });
  app.put('/v1/services/:service/instances/:id/:what', async (context) => {
    const { service, id, what } = context.req.param();
    const body = (await context.req.json()) as { state?: AdminState; weight?: number };
    state.writes.push({ path: context.req.path, body });
    const key = `${service}/${id}`;
    if (what === 'weight') {
      state.changeInstance(key, { weight: body.weight ?? 100 }, 'weight set by operator');
    } else {
      const admin = body.state ?? 'ready';
      const next = ({ drain: 'draining', maint: 'down', ready: 'up' } as const)[admin];
      state.changeInstance(key, { admin, state: next }, `operator asked for ${admin}`);
    }
    return context.json(state.instances.get(key));
  });
}

function registerAlertRoutes(app: OpenAPIHono, { alerts, writes }: FakeState): void {
  app.get('/v1/alerts', (context) => context.json({ alerts, receivers: {} }));
  app.post('/v1/alerts/:id/ack', async (context) => {
    const alert = alerts.find(({ id }) => id === context.req.param('id'));
    writes.push({ path: context.req.path, body: await context.req.json() });
    if (alert) Object.assign(alert, { acknowledgedAt: Date.now(), acknowledgedBy: 'dashboard' });
    return context.json(alert);
  });
}

async function listen(app: OpenAPIHono, port: number) {
  const server = serve({ fetch: app.fetch, port, hostname: '127.0.0.1' });
  await new Promise((resolve) => server.once('listening', resolve));
  const dropConnections = (): void => {
    if ('closeAllConnections' in server) server.closeAllConnections();
  };
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    dropConnections,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      dropConnections();
      await closed;
    },
  };
}

function makeInstances(config: Config, fleet: number, now: number): Map<string, Instance> {
  const instances = new Map<string, Instance>();
  for (const service of Object.values(config.services)) {
    const sources = fleet
      ? Array.from({ length: fleet }, (_, index) => ({
          id: `${service.id}-${index + 1}`,
          url: `http://10.0.0.${index + 1}:8000`,
          weight: 100,
          priority: 1,
        }))
      : service.instances;
    for (const { id, url, weight, priority } of sources) {
      instances.set(`${service.id}/${id}`, {
        id,
        service: service.id,
        url,
        origin: 'file',
        state: 'up',
        reason: '2 of 2 probes passed',
        since: now - 3 * 3_600_000,
        health: 'up',
        breaker: 'closed',
        admin: 'ready',
        weight,
        priority,
        latencyMs: 20,
        inflight: 1,
        queued: 0,
        metadata: {},
      });
    }
  }
  return instances;
}

function makeAgentStatus(config: Config, now: number): AgentStatus {
  const ok = { state: 'ok', pending: 0, dropped: 0, lastSuccess: now, lastError: null } as const;
  return {
    version: '0.1.0',
    site: config.site.id,
    startedAt: now - 7_200_000,
    ready: true,
    leader: { role: 'single', holder: null },
    snapshot: { epoch: 4, seq: 127, publishedAt: now - 42_000, error: null },
    alerts: [],
    sources: [],
    sinks: { haproxy: ok, redis: ok, postgres: ok, snapshot: ok },
  };
}

function makeEdgeReport(now: number): Parameters<StatusView['edgeReport']>[0] {
  return {
    v: 1,
    site: 'main',
    isolate: 'a1',
    seq: 1,
    from: now - 10_000,
    to: now - 2_000,
    tries: [],
    snapshot: { epoch: 4, seq: 127, ageMs: 900, source: 'hub' },
    limits: [{ service: 'gs', policy: 'per-ip', allowed: 5_210, denied: 34, shadowDenied: 0 }],
    requests: [
      {
        service: 'gs',
        total: 5_244,
        status2xx: 5_200,
        status3xx: 0,
        status4xx: 40,
        status5xx: 4,
        retries: 12,
        failovers: 9,
        hedges: 0,
        stale: 0,
        shed: 0,
        unavailable: 0,
        limited: 34,
        forbidden: 6,
        latency: emptySketch(),
      },
    ],
  };
}

/** Changes the instance and returns the change that an agent would report. */
function applyChange(
  instances: Map<string, Instance>,
  key: string,
  to: Partial<Instance>,
  reason: string,
): Change {
  const before = instances.get(key);
  if (!before) throw new Error(`no instance ${key}`);
  const at = Date.now();
  instances.set(key, { ...before, ...to, reason, since: at });
  const kind = to.admin ? 'admin' : to.weight ? 'weight' : to.breaker ? 'breaker' : 'state';
  return {
    at,
    service: before.service,
    instance: before.id,
    kind,
    reason,
    from: String(before[kind]),
    to: String(to[kind] ?? before[kind]),
  };
}

function explain(instances: Map<string, Instance>): RouteExplanation {
  const candidates = [...instances.values()].filter(({ service }) => service === 'gs');
  return {
    service: 'gs',
    route: '/',
    strategy: 'least_response_time',
    panic: false,
    limits: ['per-ip'],
    chosen: 'gs-2',
    why: 'power of two choices by response time',
    candidates: candidates.map(({ id, state, reason, weight, priority }) => ({
      id,
      source: null,
      state,
      reason,
      weight,
      share: 1,
      priority,
      sharePercent: 50,
      measuredPercent: 49.5,
      chosen: id === 'gs-2',
    })),
  };
}

/** A wave with noise, a few errors, and latencies with a tail. */
function makeTraffic(instances: Map<string, Instance>, at: number, random: () => number): TrafficDelta[] {
  return [...instances.values()].flatMap(({ id, service, state }) => {
    if (state === 'down') return [];
    const size = service === 'gs' ? 30 : service === 'fv' ? 4 : 12;
    const requests = Math.round(size * (1 + 0.4 * Math.sin(at / 40_000)) * (0.7 + 0.6 * random()));
    const failure = random() < 0.02 ? 1 : 0;
    const latency = emptySketch();
    for (let request = 0; request < requests; request++)
      addToSketch(latency, 8 + 30 * random() + (random() < 0.05 ? 180 : 0));
    return [
      {
        kind: 'traffic',
        source: 'haproxy',
        service,
        instance: id,
        at,
        success: requests - failure,
        failure,
        slow: 0,
        latency,
      },
    ];
  });
}

/** mulberry32: the same numbers in every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

if (import.meta.main) {
  const { url, token } = await startFakeAgent({ port: Number(process.argv[2] ?? 9499) });
  process.stdout.write(`${url} token ${token}\n`);
}

import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { serve } from '@hono/node-server';
import { OpenAPIHono } from '@hono/zod-openapi';
import type { AlertRecord } from '../../agent/alerting/alert.ts';
import type { AdminState, Change, Instance, TrafficDelta } from '../../agent/core/state.ts';
import { createTrafficWindow } from '../../agent/core/traffic-window.ts';
import { registerDashboard } from '../../agent/http/dashboard/routes.ts';
import { createStatusView } from '../../agent/http/dashboard/status.ts';
import type { AgentStatus } from '../../agent/http/schemas.ts';
import { parseConfig } from '../../shared/config/load.ts';
import { addToSketch, emptySketch } from '../../shared/sketch.ts';
import { type GovernanceSession, registerFakeSessions } from './fake-sessions.ts';

/**
 * An agent's API with made-up instances behind the real live view and the real page: every state of the system can be
 * shown at once and on demand, which no healthy stack does.
 */
export interface FakeAgent {
  url: string;
  token: string;
  instances: Map<string, Instance>;
  alerts: Pick<
    AlertRecord,
    'id' | 'rule' | 'service' | 'severity' | 'message' | 'startedAt' | 'acknowledgedAt'
  >[];
  sessions: GovernanceSession[];
  /** Stores that do not answer. */
  unavailable: { postgres: boolean };
  /** Writes the page made, oldest first. */
  writes: { path: string; body: unknown }[];
  changeInstance(key: string, to: Partial<Instance>, reason: string): void;
  agent: AgentStatus;
  /** Cuts every connection, as an agent that restarts does. */
  dropConnections(): void;
  close(): Promise<void>;
}

/** `fleet`: every service has so many instances. */
export async function startFakeAgent({ port = 0, history = true, fleet = 0 } = {}): Promise<FakeAgent> {
  const config = parseConfig(readFileSync(new URL('../../acgs-lb.yaml', import.meta.url), 'utf8'));
  const now = Date.now();
  const instances = new Map<string, Instance>();
  for (const service of Object.values(config.services)) {
    const listed = fleet
      ? Array.from({ length: fleet }, (_, index) => ({
          ...{
            id: `${service.id}-${index + 1}`,
            url: `http://10.0.0.${index + 1}:8000`,
            weight: 100,
            priority: 1,
          },
        }))
      : service.instances;
    for (const { id, url, weight, priority } of listed) {
      instances.set(`${service.id}/${id}`, {
        ...{ id, service: service.id, url, origin: 'file', state: 'up', reason: '2 of 2 probes passed' },
        ...{ since: now - 3 * 3_600_000, health: 'up', breaker: 'closed', admin: 'ready', weight, priority },
        ...{ latencyMs: 20, inflight: 1, queued: 0, metadata: {} },
      });
    }
  }
  const window = createTrafficWindow();
  const live = createStatusView({ config: () => config, window });
  const random = seeded(7);
  const tick = (at: number) => {
    for (const delta of traffic(instances, at, random)) window.addTraffic(delta);
    live.accept({ at, instances, changes: [] });
  };
  if (history) for (let at = now - 300_000; at < now; at += 1_000) tick(at);
  else live.accept({ at: now, instances, changes: [] });

  const fine = { state: 'ok', pending: 0, dropped: 0, lastSuccess: now, lastError: null } as const;
  const agent: AgentStatus = {
    version: '0.1.0',
    site: config.site.id,
    startedAt: now - 7_200_000,
    ready: true,
    leader: { role: 'single', holder: null },
    snapshot: { epoch: 4, seq: 127, publishedAt: now - 42_000, error: null },
    sinks: { haproxy: fine, redis: fine, postgres: fine, snapshot: fine },
  };
  live.edgeReport({
    ...{ v: 1, site: 'main', isolate: 'a1', seq: 1, from: now - 10_000, to: now - 2_000, tries: [] },
    snapshot: { epoch: 4, seq: 127, ageMs: 900, source: 'hub' },
    limits: [{ service: 'gs', policy: 'per-ip', allowed: 5_210, denied: 34, shadowDenied: 0 }],
    requests: [
      {
        ...{ service: 'gs', total: 5_244, status2xx: 5_200, status3xx: 0, status4xx: 40, status5xx: 4 },
        ...{ retries: 12, failovers: 9, stale: 0, shed: 0, unavailable: 0, limited: 34, forbidden: 6 },
        latency: emptySketch(),
      },
    ],
  });

  const standIn = {
    token: 'let-me-in',
    instances,
    writes: [] as FakeAgent['writes'],
    alerts: [] as FakeAgent['alerts'],
    sessions: [] as GovernanceSession[],
    unavailable: { postgres: false },
    agent,
  };
  const made: Change[] = [];
  const change: FakeAgent['changeInstance'] = (key, to, reason) => {
    const before = instances.get(key);
    if (!before) throw new Error(`no instance ${key}`);
    instances.set(key, { ...before, ...to, reason, since: Date.now() });
    const kind = to.admin ? 'admin' : to.weight ? 'weight' : to.breaker ? 'breaker' : 'state';
    const one: Change = {
      ...{ at: Date.now(), service: before.service, instance: before.id, kind, reason },
      ...{ from: String(before[kind]), to: String(to[kind] ?? before[kind]) },
    };
    live.accept({ at: Date.now(), instances, changes: [one] });
    made.push(one);
  };

  const app = new OpenAPIHono();
  app.use('/v1/*', async (context, next) => {
    const open = context.req.method === 'GET';
    if (!open && context.req.header('authorization') !== `Bearer ${standIn.token}`) {
      return context.json(
        { title: 'Unauthorized', status: 401, detail: 'a valid bearer token is needed' },
        401,
      );
    }
    return next();
  });
  app.put('/v1/services/:service/instances/:id/:what', async (context) => {
    const { service, id, what } = context.req.param();
    const body = (await context.req.json()) as { state?: AdminState; weight?: number };
    standIn.writes.push({ path: context.req.path, body });
    const state = body.state === 'drain' ? 'draining' : body.state === 'maint' ? 'down' : 'up';
    const to =
      what === 'weight' ? { weight: body.weight ?? 100 } : ({ admin: body.state ?? 'ready', state } as const);
    change(
      `${service}/${id}`,
      to,
      what === 'weight' ? 'weight set by operator' : `operator asked for ${body.state}`,
    );
    return context.json(instances.get(`${service}/${id}`));
  });
  const listed = () =>
    Object.keys(config.services).map((id) => ({
      id,
      instances: [...instances.values()].filter(({ service }) => service === id),
    }));
  app.get('/v1/services', (context) => context.json({ services: listed() }));
  app.get('/v1/services/:service/instances', (context) =>
    context.json({
      instances: listed().find(({ id }) => id === context.req.param('service'))?.instances ?? [],
    }),
  );
  app.get('/v1/events', (context) =>
    context.body(made.map((change) => `event: change\ndata: ${JSON.stringify(change)}\n\n`).join(''), 200, {
      'content-type': 'text/event-stream',
    }),
  );
  app.get('/v1/explain', (context) => context.json(explain(context.req.query('path') ?? '/', instances)));
  app.get('/v1/alerts', (context) => context.json({ alerts: standIn.alerts }));
  app.post('/v1/alerts/:id/ack', async (context) => {
    const alert = standIn.alerts.find(({ id }) => id === context.req.param('id'));
    standIn.writes.push({ path: context.req.path, body: await context.req.json() });
    if (alert) Object.assign(alert, { acknowledgedAt: Date.now(), acknowledgedBy: 'dashboard' });
    return context.json(alert);
  });
  registerFakeSessions(app, standIn);
  registerDashboard(app, { view: live, status: () => agent });

  const server = serve({ fetch: app.fetch, port, hostname: '127.0.0.1' });
  await new Promise((resolve) => server.once('listening', resolve));
  const drop = () => 'closeAllConnections' in server && server.closeAllConnections();
  const timer = setInterval(() => tick(Date.now()), 1_000);
  return {
    ...standIn,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    changeInstance: change,
    dropConnections: drop,
    close: async () => {
      clearInterval(timer);
      const closed = new Promise((resolve) => server.close(resolve));
      drop();
      await closed;
    },
  };
}

function explain(path: string, instances: Map<string, Instance>) {
  const candidates = [...instances.values()].filter((instance) => instance.service === 'gs');
  return {
    ...{ service: 'gs', route: '/', path, strategy: 'least_response_time', panic: false, limits: ['per-ip'] },
    ...{ chosen: 'gs-2', why: 'power of two choices by response time' },
    candidates: candidates.map(({ id, state, reason, weight, priority }) => ({
      ...{ id, state, reason, weight, priority, sharePercent: 50, chosen: id === 'gs-2' },
    })),
  };
}

/** A wave with noise, a few errors, and latencies with a tail. */
function traffic(instances: Map<string, Instance>, at: number, random: () => number): TrafficDelta[] {
  return [...instances.values()].flatMap((instance) => {
    if (instance.state === 'down') return [];
    const size = instance.service === 'gs' ? 30 : instance.service === 'fv' ? 4 : 12;
    const calls = Math.round(size * (1 + 0.4 * Math.sin(at / 40_000)) * (0.7 + 0.6 * random()));
    const failure = random() < 0.02 ? 1 : 0;
    const latency = emptySketch();
    for (let call = 0; call < calls; call++)
      addToSketch(latency, 8 + 30 * random() + (random() < 0.05 ? 180 : 0));
    return [
      {
        ...{ kind: 'traffic', source: 'haproxy', service: instance.service, instance: instance.id, at },
        ...{ success: calls - failure, failure, slow: 0, latency },
      },
    ];
  });
}

/** mulberry32: the same numbers every run. */
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

import { execFile, spawnSync } from 'node:child_process';
import { request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { TracedRequests } from '../../agent/http/schemas/trace.ts';
import type { Report } from '../../agent/reports/report.ts';
import { checkPanels, EMPTY_WITHOUT_INCIDENT } from '../../deploy/grafana/check.ts';
import { eventually } from '../harness/eventually.ts';
import { ROOT, startStack, type TestStack } from '../harness/stack.ts';
import { until } from '../harness/until.ts';

/** Every place that shows requests, failures and latency, against the count of an independent client. */

const PREFIX = { auth: '/api/v1/auth', pgc: '/api/v1/policy', ec: '/api/v1/evolutionary' } as const;
type Service = keyof typeof PREFIX;

interface Count {
  requests: number;
  failed: number;
  limited: number;
  /** Milliseconds until the response headers, of requests that were not rejected. */
  latencies: number[];
}

let test: TestStack;
async function start(): Promise<void> {
  test = await startStack({
    args: ['--simulate-clients'],
    edit: (document) => {
      const perIp = { name: 'per-ip', key: 'ip', limit: 60, window: '10m', scope: 'edge' };
      document.setIn(['defaults', 'rateLimits'], []);
      document.setIn(['services', 'ec', 'rateLimits'], [perIp]);
      document.setIn(['haproxy', 'rateLimit'], 'off');
      document.setIn(['monitor', 'interval'], '2s');
    },
  });
  for (const service of services) counts[service] = { requests: 0, failed: 0, limited: 0, latencies: [] };
  ownMs.length = 0;
}
/** The tests are steps: each checks the traffic of the first one. */
let runs = 0;
beforeAll(start);
afterAll(() => test?.stop());

const services = ['auth', 'pgc', 'ec'] as const;
const counts = {} as Record<Service, Count>;

let sent = 0;

/** Every request has its own id. */
function send(base: string, service: Service): Promise<void> {
  const id = `${service}-${sent++}`;
  const startedAt = performance.now();
  const count = counts[service];
  return new Promise((resolve) => {
    const finish = (status: number): void => {
      count.requests += 1;
      if (status >= 500) count.failed += 1;
      if (status === 429) count.limited += 1;
      else count.latencies.push(performance.now() - startedAt);
      resolve();
    };
    const options = { agent: false, headers: { 'x-request-id': id } };
    request(`${base}${PREFIX[service]}/figures`, options, (response) => {
      finish(response.statusCode ?? 599);
      response.resume();
    })
      .on('error', () => finish(599))
      .end();
  });
}

/** `rate` requests a second to each service, three of four through the edge. */
async function run(seconds: number, rate: number): Promise<void> {
  const { edge, gateway } = test.stack;
  const pending: Promise<void>[] = [];
  for (let index = 0; index < seconds * rate; index++) {
    const base = index % 4 === 3 && gateway ? gateway : edge;
    for (const service of ['auth', 'pgc', 'ec'] as const) pending.push(send(base, service));
    pending.push(sendDirectly());
    await sleep(1000 / rate);
  }
  await Promise.all(pending);
}

/** How long pgc takes to answer. */
let delayMs = 0;
/** Milliseconds that requests take longer here than the instance: connecting, and the event loop of this process. */
const ownMs: number[] = [];

async function setDelay(ms: number): Promise<void> {
  delayMs = ms;
  const body = JSON.stringify({ delayMs: ms });
  for (const id of ['pgc-1', 'pgc-2']) {
    await fetch(`${urlOf(id)}/__demo`, { method: 'POST', body }).catch(() => undefined);
  }
}

/** Past the edge and the gateway. */
function sendDirectly(): Promise<void> {
  const [startedAt, delay] = [performance.now(), delayMs];
  return new Promise((resolve, reject) => {
    request(`${urlOf('pgc-2')}${PREFIX.pgc}/figures`, { agent: false }, (response) => {
      ownMs.push(performance.now() - startedAt - delay);
      response.resume();
      resolve();
    })
      .on('error', reject)
      .end();
  });
}

function urlOf(id: string): string {
  const url = test.stack.instances.find((one) => one.id === id)?.url;
  if (!url) throw new Error(`${id} is not in the stack`);
  return url;
}

const quantile = (values: readonly number[], q: number): number =>
  values.toSorted((a, b) => a - b)[Math.floor(q * (values.length - 1))] ?? Number.NaN;

/**
 * A percentile as the client measured it and as shown: edge and gateway see neither the client's connecting nor its event
 * loop. The rest may differ by 1 %, the error of a sketch.
 */
function expectNearMs(place: string, shown: number | null | undefined, q: number): void {
  const client = quantile(counts.pgc.latencies, q);
  const own = quantile(ownMs, 0.95);
  const of = `${place}, p${q * 100} of pgc: shown ${shown}, client ${client}, of which its own up to ${own}`;
  console.log(of);
  expect(shown, of).toBeGreaterThan(client * 0.99 - own);
  expect(shown, of).toBeLessThan(client * 1.01);
}

function kill(id: string): void {
  const pid = test.stack.instances.find((one) => one.id === id)?.pid;
  if (!pid) throw new Error(`${id} does not run`);
  process.kill(pid, 'SIGKILL');
}

interface Figures {
  id: string;
  requests: number;
  failed: number;
  errorPercent: number;
  availabilityPercent: number;
  p50Ms: number;
  p95Ms: number;
  limited: number;
  attempts: number;
}

async function get<T>(path: string): Promise<T> {
  const response = await fetch(`${test.stack.agent}${path}`);
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return (await response.json()) as T;
}
const summary = async (window: string): Promise<Record<string, Figures>> => {
  const { services } = await get<{ services: Figures[] }>(`/v1/summary?window=${window}`);
  return Object.fromEntries(services.map((one) => [one.id, one]));
};

async function cli<T>(...args: string[]): Promise<T> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [join(ROOT, 'bin/acgs-lb.mjs'), ...args, '--json'],
    { cwd: ROOT, env: { ...process.env, ACGS_STATE_DIR: test.stateDir }, maxBuffer: 64 << 20 },
  );
  return JSON.parse(stdout) as T;
}

/** Within 1 %, or one request. */
const near = (shown: number | undefined, counted: number): boolean =>
  shown !== undefined && Math.abs(shown - counted) <= Math.max(1, counted * 0.01);

const expectNear = (place: string, shown: Partial<Figures> | undefined, service: Service): void => {
  const { requests, failed, limited } = counts[service];
  const of = `${place}, ${service}: shown ${JSON.stringify(shown)}, counted ${JSON.stringify({ requests, failed, limited })}`;
  expect(near(shown?.requests, requests), of).toBe(true);
  expect(near(shown?.failed, failed), of).toBe(true);
  if (shown?.limited !== undefined) expect(near(shown.limited, limited), of).toBe(true);
  if (shown?.errorPercent !== undefined)
    expect(Math.abs(shown.errorPercent - (100 * failed) / requests), of).toBeLessThan(1);
};

it('the failed requests of a dead service, through the edge and past it, show everywhere; one kill raises no alert', async () => {
  if (runs++ > 0) {
    // The failed attempt has killed instances.
    await test.stop();
    await start();
  }
  // The agent creates the schema in the background.
  const before = await eventually(() => summary('5m'));
  await setDelay(200);
  await run(8, 25);
  // The first request to the dead service. It goes through the edge, and to `auth` first.
  const failedId = `auth-${sent}`;
  kill('auth-1');
  kill('auth-2');
  kill('pgc-1');
  await run(6, 25);
  await setDelay(400);
  await run(6, 25);
  expect(counts.auth.failed).toBeGreaterThan(100);
  expect(counts.pgc.failed).toBe(0);
  expect(counts.ec.limited).toBeGreaterThan(50);
  for (const service of services) {
    // The stack sends requests of its own before it is ready.
    counts[service].requests += before[service]?.requests ?? 0;
  }

  const all = counts.auth.requests + counts.pgc.requests + counts.ec.requests;
  const complete = await until(
    async () => {
      const shown = await summary('5m');
      const sum = services.reduce((total, service) => total + (shown[service]?.requests ?? 0), 0);
      return sum >= all;
    },
    { everyMs: 500 },
  );
  const shown = await summary('5m');
  for (const service of services) expectNear('summary 5m', shown[service], service);
  expect(complete).toBe(true);
  await expectTrace(failedId);
  const alerts = await get<{ alerts: { rule: string; service: string }[] }>('/v1/alerts?state=firing');
  const firing = alerts.alerts.map(({ rule, service }) => `${service} ${rule}`);
  expect(firing).toContain('auth errorPercent');
  expect(firing).toContain('auth availabilityPercent');
  expect(firing).not.toContain('pgc errorPercent');
  expect(firing).not.toContain('pgc availabilityPercent');
  expectNearMs('summary 5m', shown.pgc?.p50Ms, 0.5);
  expectNearMs('summary 5m', shown.pgc?.p95Ms, 0.95);
});

it('metrics', async () => {
  const page = await (await fetch(`${test.stack.agent}/metrics`)).text();
  for (const service of services) {
    const sum = (name: string, label = '') =>
      [...page.matchAll(new RegExp(`^${name}{service="${service}".*${label}.*} (\\d+)$`, 'gm'))].reduce(
        (total, [, value]) => total + Number(value),
        0,
      );
    const figures = {
      requests: sum('acgs_requests_total'),
      failed: sum('acgs_requests_total', 'code="5xx"'),
      limited: sum('acgs_requests_limited_total'),
    };
    expectNear('metrics', figures, service);
  }
});

it('the status page and the command, whose history covers five minutes', async () => {
  // A column of the history is shown when its seconds have passed.
  await eventually(expectHistories, { timeout: 60_000, interval: 1_000 });
});

async function expectHistories(): Promise<void> {
  const documents = {
    dashboard: await get<StatusLike>('/v1/status'),
    command: await cli<StatusLike>('status'),
  };
  for (const [place, { services: list }] of Object.entries(documents)) {
    for (const { id, traffic } of list) {
      if (!isService(id)) continue;
      const sum = (of: (index: number) => number) =>
        traffic.history.perSecond.reduce((total, _, index) => total + of(index), 0);
      const at = (index: number) => (traffic.history.perSecond[index] ?? 0) * 5;
      const figures = {
        requests: Math.round(sum(at)),
        failed: Math.round(sum((index) => (at(index) * (traffic.history.errorPercent[index] ?? 0)) / 100)),
      };
      expectNear(place, figures, id);
    }
  }
}

/** The command shows what the edge did with a failed request, and HAProxy's view of each attempt. */
async function expectTrace(id: string): Promise<void> {
  const { requests } = await cli<TracedRequests>('trace', id);
  const [request] = requests;
  expect(requests).toHaveLength(1);
  expect(request).toMatchObject({ requestId: id, service: 'auth', status: 503, unknown: [] });
  expect(request?.edge?.attempts.length).toBeGreaterThan(1);
  const attempts = request?.edge?.attempts.map(({ spanId }) => spanId);
  // workerd sends a GET again by itself when a kept connection was reset: then HAProxy sees an attempt twice.
  expect([...new Set(request?.gateway.map(({ parentId }) => parentId))]).toEqual(attempts);
  const texts = request?.steps.map(({ by, text }) => `${by}: ${text}`).join('\n');
  expect(texts).toContain('edge: attempt 2 (a retry): through the gateway');
  expect(texts).toMatch(/^gateway: HAProxy answered 503.*\(SC\)$/m);
  expect(texts).toMatch(/^edge: the client got 503/m);
}

interface StatusLike {
  services: {
    id: string;
    traffic: { history: { perSecond: number[]; errorPercent: (number | null)[] } };
  }[];
}
const isService = (id: string): id is Service => (services as readonly string[]).includes(id);

it('history: the summary of an hour, and the report', async () => {
  // Every minute of the run has ended and is written after a minute and a half at most.
  await eventually(expectHistory, { timeout: 180_000, interval: 3_000 });
});

async function expectHistory(): Promise<void> {
  const hour = await summary('1h');
  for (const service of services) expectNear('summary 1h', hour[service], service);
  for (const service of services) {
    const { totals } = await get<{ totals: Figures }>(`/v1/history?service=${service}&window=15m`);
    expectNear('history', totals, service);
    if (service !== 'pgc') continue;
    expectNearMs('history', totals.p50Ms, 0.5);
    expectNearMs('history', totals.p95Ms, 0.95);
  }
  const { events } = await get<{ events: object[] }>('/v1/events?since=10m&kind=state&service=pgc');
  expect(events).toContainEqual(expect.objectContaining({ instance: 'pgc-1', to: 'down' }));
  const minutes = await cli<Report>('report', '--since', '15m');
  for (const service of services) {
    const found = minutes.services.find((one) => one.service === service);
    expectNear('report of minutes', found && { requests: found.requests, failed: found.failures }, service);
  }
  const report = await cli<Report>('report', '--days', '1');
  for (const service of services) {
    const found = report.services.find((one) => one.service === service);
    expectNear('report', found && { requests: found.requests, failed: found.failures }, service);
    expect(found?.availability?.basis).toBe('requests');
  }
}

const hasPrometheus = spawnSync('prometheus', ['--version']).status === 0;
it.skipIf(!hasPrometheus)('Grafana: every panel shows data from Prometheus or Postgres', async () => {
  await eventually(expectPanels, { timeout: 180_000, interval: 3_000 });
});

async function expectPanels(): Promise<void> {
  const panels = await checkPanels(test.stack);
  expect(panels.length).toBeGreaterThan(40);
  const empty = panels.filter(({ panel, found }) =>
    EMPTY_WITHOUT_INCIDENT.has(panel) ? typeof found === 'string' : !(Number(found) > 0),
  );
  expect(empty).toEqual([]);
}

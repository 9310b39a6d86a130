import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { addToSketch, emptySketch } from '../../shared/sketch.ts';
import { sampleInstance } from '../../test/harness/instance.ts';
import type { Update } from '../core/sink.ts';
import { type Instance, instanceKey, type TrafficDelta } from '../core/state.ts';
import { createTrafficWindow } from '../core/traffic-window.ts';
import { createMetrics, type MetricsStatus } from './metrics.ts';

const status: MetricsStatus = {
  ready: true,
  leader: { role: 'leader' },
  snapshot: { epoch: 3, seq: 7, publishedAt: 1_000_000 },
  sinks: { postgres: { state: 'retrying', pending: 12, dropped: 1, lastSuccess: 5_000, lastError: 'away' } },
};

const instance = (id: string, more: Partial<Instance> = {}) =>
  sampleInstance({ id, latencyMs: 3, inflight: 2, ...more });

const update = (instances: Instance[], more: Partial<Update> = {}): Update => ({
  at: 0,
  instances: new Map(instances.map((one) => [instanceKey(one.service, one.id), one])),
  changes: [],
  ...more,
});

const sketchOf = (...values: number[]) => {
  const sketch = emptySketch();
  for (const value of values) addToSketch(sketch, value);
  return sketch;
};

const traffic = (...latencies: number[]): TrafficDelta => ({
  kind: 'traffic',
  source: 'haproxy',
  service: 'gs',
  instance: 'gs-1',
  at: 0,
  success: 2,
  failure: 1,
  slow: 0,
  latency: sketchOf(...latencies),
});

function metrics() {
  const window = createTrafficWindow();
  const all = createMetrics({
    version: '1.2.3',
    site: 'main',
    window,
    now: () => 0,
  });
  return { ...all, window };
}
const labels = 'service="gs",server="gs-1"';

test('exports the metric names of the original guide', async () => {
  const all = metrics();
  all.window.addTraffic(traffic(20, 200, 700));
  all.accept(
    update([instance('gs-1', { breaker: 'open', health: 'down', state: 'down' })], {
      changes: [
        { at: 0, service: 'gs', instance: 'gs-1', kind: 'state', from: 'up', to: 'down', reason: 'breaker' },
      ],
    }),
  );
  const page = String(await all.render(status));
  expect(page).toContain(`acgs_load_balancer_requests_total{${labels},status="success"} 2`);
  expect(page).toContain(`acgs_load_balancer_requests_total{${labels},status="failure"} 1`);
  expect(page).toContain(`acgs_load_balancer_response_time_seconds_bucket{${labels},le="0.025"} 1`);
  expect(page).toContain(`acgs_load_balancer_response_time_seconds_bucket{${labels},le="0.5"} 2`);
  expect(page).toContain(`acgs_load_balancer_response_time_seconds_bucket{${labels},le="+Inf"} 3`);
  expect(page).toContain(`acgs_load_balancer_response_time_seconds_sum{${labels}} 0.92`);
  expect(page).toContain(`acgs_circuit_breaker_status{${labels}} 1`);
  expect(page).toContain(`acgs_backend_server_health{${labels}} 0`);
  expect(page).toContain('acgs_failover_events_total{service="gs",kind="instance"} 1');
});

const promtool = spawnSync('promtool', ['--version']).status === 0;
test.skipIf(!promtool)('promtool accepts the page', async () => {
  const all = metrics();
  all.window.addTraffic(traffic(20, 700));
  all.accept(update([instance('gs-1'), instance('gs-2', { state: 'down' })]));
  const {
    status: exitCode,
    stdout,
    stderr,
  } = spawnSync('promtool', ['check', 'metrics'], {
    input: String(await all.render(status)),
    encoding: 'utf8',
  });
  expect(`${stdout}${stderr}`).toBe('');
  expect(exitCode).toBe(0);
});

test('removes the series of a deregistered instance', async () => {
  const all = metrics();
  all.accept(update([instance('gs-1'), instance('gs-2')]));
  all.accept(update([instance('gs-2')]));
  const page = String(await all.render(status));
  expect(page).not.toContain('gs-1');
  expect(page).toContain('acgs_backend_server_health{service="gs",server="gs-2"} 1');
});

test('exports the state of the agent', async () => {
  const all = metrics();
  await all.render(status);
  const page = String(await all.render(status));
  expect(page).toContain(`acgs_build_info{version="1.2.3",site="main",node="${process.versions.node}"} 1`);
  expect(page).toContain('acgs_snapshot_seq 7');
  expect(page).toContain('acgs_snapshot_published_timestamp_seconds 1000');
  expect(page).toContain('acgs_sink_up{sink="postgres"} 0');
  expect(page).toContain('acgs_sink_pending{sink="postgres"} 12');
  expect(page).toContain('acgs_sink_dropped_total{sink="postgres"} 1');
});

test('exports the figures of edge reports', async () => {
  const all = metrics();
  all.edgeReport({
    v: 1,
    site: 'main',
    isolate: 'a',
    seq: 1,
    from: 0,
    to: 1,
    snapshot: { epoch: 3, seq: 7, ageMs: 4_000, source: 'hub' },
    tries: [],
    limits: [{ service: 'gs', policy: 'per-ip', allowed: 20, denied: 3, shadowDenied: 0 }],
    requests: [
      {
        service: 'gs',
        total: 24,
        status2xx: 19,
        status3xx: 0,
        status4xx: 4,
        status5xx: 1,
        retries: 2,
        failovers: 1,
        hedges: 0,
        stale: 0,
        shed: 0,
        unavailable: 0,
        limited: 3,
        forbidden: 1,
        latency: sketchOf(10, 600),
      },
    ],
  });
  const page = String(await all.render(status));
  expect(page).toContain('acgs_edge_requests_total{service="gs",code="5xx"} 1');
  expect(page).toContain('acgs_edge_requests_total{service="gs",code="4xx"} 4');
  expect(page).toContain('acgs_edge_turned_away_total{service="gs",reason="rate_limit"} 3');
  expect(page).toContain('acgs_edge_turned_away_total{service="gs",reason="access"} 1');
  expect(page).toContain('acgs_failover_events_total{service="gs",kind="request"} 1');
  expect(page).toContain('acgs_edge_rate_limited_total{service="gs",policy="per-ip",result="denied"} 3');
  expect(page).toContain('acgs_edge_request_duration_seconds_bucket{service="gs",le="0.5"} 1');
  expect(page).toContain('acgs_edge_snapshot_age_seconds 4');
});

test('no metric has the label instance: Prometheus sets it to the scraped address', async () => {
  const all = metrics();
  all.window.addTraffic(traffic(20));
  all.accept(update([instance('gs-1')]));
  all.probe({ kind: 'probe', service: 'gs', instance: 'gs-1', at: 0, ok: true, latencyMs: 2 });
  expect(String(await all.render(status))).not.toMatch(/[{,]instance=/);
});

test('counts updates that a listener failed to process', async () => {
  const all = metrics();
  all.listenerError('redis');
  all.listenerError('redis');
  expect(String(await all.render(status))).toContain('acgs_listener_faults_total{listener="redis"} 2');
});

test('other work runs while the page of many instances is written', async () => {
  const all = metrics();
  const instances = new Map(
    Array.from({ length: 3_000 }, (_, index) => [
      `gs/gs-${index}`,
      sampleInstance({ service: 'gs', id: `gs-${index}` }),
    ]),
  );
  all.accept({ at: 0, changes: [], instances });
  let turns = 0;
  let written = false;
  const count = () => {
    turns++;
    if (!written) setImmediate(count);
  };
  setImmediate(count);
  const page = String(await all.render(status));
  written = true;
  expect(page.match(/^acgs_instance_inflight\{/gm)).toHaveLength(3_000);
  expect(turns).toBeGreaterThan(1);
});

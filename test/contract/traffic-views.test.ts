import fc from 'fast-check';
import { expect, test } from 'vitest';
import { summarizeTraffic } from '../../agent/alerting/summary.ts';
import { metricsRowSteps } from '../../agent/core/metrics-rows.ts';
import type { MetricsRow } from '../../agent/core/sink.ts';
import { instanceKey } from '../../agent/core/state.ts';
import { BUCKET_MS, createTrafficWindow } from '../../agent/core/traffic-window.ts';
import { createMinuteAggregator } from '../../agent/history/minutes.ts';
import { createStatusView } from '../../agent/http/dashboard/status.ts';
import { finish } from '../../agent/lib/slices.ts';
import { createMetrics } from '../../agent/metrics/metrics.ts';
import { parseConfig } from '../../shared/config/load.ts';
import { addToSketch, emptySketch } from '../../shared/sketch.ts';
import { sampleInstance } from '../harness/instance.ts';
import { requestsOf } from '../harness/requests.ts';

const START = 1_000_000_000_000;
const sketchOf = (ms: number, times: number) => {
  const sketch = emptySketch();
  addToSketch(sketch, ms, times);
  return sketch;
};

const config = parseConfig(`
version: 1
site: { id: main }
services:
  gs: { routes: [/], instances: [{ id: a, url: 'http://127.0.0.1:1' }, { id: b, url: 'http://127.0.0.1:2' }] }
  ec: { routes: [/ec], instances: [{ id: c, url: 'http://127.0.0.1:3' }] }
`);
const instances = new Map(
  Object.values(config.services).flatMap((service) =>
    service.instances.map(({ id }) => [
      instanceKey(service.id, id),
      sampleInstance({ id, service: service.id }),
    ]),
  ),
);

/** One stream of traffic and refreshes, in order of time, within five minutes. */
const streams = fc.array(
  fc.record({
    waitMs: fc.integer({ min: 0, max: 4_000 }),
    key: fc.constantFrom(...instances.keys()),
    success: fc.nat(50),
    failure: fc.nat(5),
    timed: fc.nat(20),
    /** Requests, which need not match the attempts. */
    answered: fc.nat(50),
    failed: fc.nat(5),
    limited: fc.nat(3),
    refresh: fc.boolean(),
  }),
  { maxLength: 60 },
);

test('monitor, dashboard, metrics, history rows and minutes count the same requests and the same attempts', async () => {
  const property = fc.asyncProperty(streams, async (stream) => {
    let now = START;
    const window = createTrafficWindow(() => config.monitor.window);
    const sinceLastRows = window.accumulate();
    const minutes = createMinuteAggregator(window);
    const metrics = createMetrics({ version: '', site: 'main', window });
    const dashboard = createStatusView({ config: () => config, window, now: () => now });
    const rows: MetricsRow[] = [];
    const minuteRows: ReturnType<typeof minutes.takeAll> = [];
    const refresh = () => {
      const update = { at: now, instances, changes: [] };
      window.addSample(instances, now);
      const host = { cpuPercent: 0, memoryPercent: 0 };
      rows.push(
        ...finish(metricsRowSteps(instances.values(), sinceLastRows.takeAll()[0]?.totals, host, now)),
      );
      minuteRows.push(...minutes.takeEnded(now));
      metrics.accept(update);
      dashboard.accept(update);
    };
    let [success, failure, timed] = [0, 0, 0];
    let [answered, failed, limited] = [0, 0, 0];
    for (const entry of stream) {
      now += entry.waitMs;
      const [service = '', instance = ''] = entry.key.split('/');
      const { timed: count } = entry;
      window.addTraffic({
        kind: 'traffic',
        source: 'haproxy',
        service,
        instance,
        at: now,
        success: entry.success,
        failure: entry.failure,
        slow: 0,
        ...(count > 0 && { latency: sketchOf(20, count) }),
      });
      const requests = requestsOf(now, entry.answered, entry.failed, {
        service,
        limited: entry.limited,
        ms: 30,
      });
      requests.statuses['4xx'] += entry.limited;
      window.addRequests(requests);
      metrics.requests(requests);
      answered += entry.answered + entry.limited;
      failed += entry.failed;
      limited += entry.limited;
      [success, failure, timed] = [success + entry.success, failure + entry.failure, timed + count];
      if (entry.refresh) refresh();
    }
    refresh();
    minuteRows.push(...minutes.takeAll());

    const requests = answered + failed;
    const attempts = success + failure;
    const latencySamples = requests - limited;
    const summary = summarizeTraffic({ config, window, instances: instances.values(), now, since: START });
    expect(summary.total).toMatchObject({ requests, failed, attempts, limited, latencySamples });
    expect(summary.services.reduce((sum, service) => sum + service.requests, 0)).toBe(requests);

    expect(rows.reduce((sum, { successCount }) => sum + successCount, 0)).toBe(success);
    expect(rows.reduce((sum, { failureCount }) => sum + failureCount, 0)).toBe(failure);

    const sumRows = (table: string, column: (row: Record<string, unknown>) => unknown) =>
      minuteRows
        .filter((one) => one.table === table)
        .reduce((sum, { row }) => sum + Number(column(row) ?? 0), 0);
    const latencyCount = ({ latency }: Record<string, unknown>) =>
      (latency as { count: number } | null)?.count;
    const ofSite = (row: Record<string, unknown>) => (row.service_type === '' ? latencyCount(row) : 0);
    const ofInstances = (row: Record<string, unknown>) => (row.service_type === '' ? 0 : latencyCount(row));
    expect(sumRows('latency_minutes', ofSite)).toBe(latencySamples);
    expect(sumRows('latency_minutes', ofInstances)).toBe(timed);
    expect(sumRows('latency_minutes', (row) => row.attempts)).toBe(attempts);
    expect(sumRows('latency_minutes', (row) => row.failures)).toBe(failure);
    expect(sumRows('request_minutes', latencyCount)).toBe(latencySamples);
    expect(sumRows('request_minutes', (row) => row.requests)).toBe(requests);
    expect(sumRows('request_minutes', (row) => row.failed)).toBe(failed);
    expect(sumRows('request_minutes', (row) => row.limited)).toBe(limited);
    expect(sumRows('request_minutes', (row) => row.attempts)).toBe(attempts);

    const page = String(
      await metrics.render({
        ready: true,
        leader: { role: 'single' },
        snapshot: { epoch: 0, seq: 0, publishedAt: null },
        sinks: {},
      }),
    );
    const counted = (name: string, only = '') =>
      [...page.matchAll(new RegExp(`^${name}{.*${only}.*} (\\d+)$`, 'gm'))].reduce(
        (sum, [, value]) => sum + Number(value),
        0,
      );
    expect(counted('acgs_load_balancer_requests_total', 'status="success"')).toBe(success);
    expect(counted('acgs_load_balancer_requests_total', 'status="failure"')).toBe(failure);
    expect(counted('acgs_load_balancer_response_time_seconds_count')).toBe(timed);
    expect(counted('acgs_requests_total')).toBe(requests);
    expect(counted('acgs_requests_total', 'code="5xx"')).toBe(failed);
    expect(counted('acgs_requests_limited_total')).toBe(limited);
    expect(counted('acgs_request_duration_seconds_count')).toBe(latencySamples);

    // The dashboard shows whole buckets, once the counters' lag has passed.
    now += BUCKET_MS + 1_200;
    const { total } = dashboard.status({
      version: '',
      site: 'main',
      startedAt: START,
      ready: true,
      leader: { role: 'single', holder: null },
      snapshot: { epoch: 0, seq: 0, publishedAt: null, error: null },
      alerts: [],
      sources: [],
      sinks: {},
    });
    const shown = total.history.perSecond.reduce((sum, rate) => sum + (rate * BUCKET_MS) / 1000, 0);
    expect(Math.round(shown)).toBe(requests);
    expect(total).toMatchObject({ requests: expect.any(Number), attempts: expect.any(Number) });
  });
  await fc.assert(property, { numRuns: 60 });
});

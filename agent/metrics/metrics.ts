import { collectDefaultMetrics } from 'prom-client';
import type { EdgeReport } from '../../shared/edge-report.ts';
import { type RequestDelta, STATUS_CLASSES } from '../core/requests.ts';
import type { SinkStatus, Update } from '../core/sink.ts';
import { type Change, type Instance, instanceKey, type ProbeResult } from '../core/state.ts';
import type { TrafficTotals, TrafficWindow } from '../core/traffic-window.ts';
import { inSlices } from '../lib/slices.ts';
import { createMetricSet, type MetricSet } from './metric-set.ts';

/** How long a reported snapshot age is used. */
const EDGE_AGE_WINDOW_MS = 60_000;

export interface MetricsStatus {
  ready: boolean;
  leader: { role: 'leader' | 'standby' | 'single' };
  snapshot: { epoch: number; seq: number; publishedAt: number | null };
  sinks: Readonly<Record<string, SinkStatus>>;
}

export interface Metrics {
  readonly contentType: string;
  accept(update: Update): void;
  /** Requests that this agent received. Those of another agent are in its metrics. */
  requests(delta: RequestDelta): void;
  probe(result: ProbeResult): void;
  edgeReport(report: EdgeReport): void;
  /** A listener of the loop threw. */
  listenerError(listener: string): void;
  /** Spans that a collector accepted, and spans that were lost. */
  spansExported(count: number): void;
  spansDropped(count: number): void;
  /** The page for `/metrics` in Prometheus' text format, in UTF-8. Probes start while it is written. */
  render(status: MetricsStatus): Promise<Buffer<ArrayBuffer>>;
}

export interface MetricsOptions {
  version: string;
  site: string;
  /** Their counters start at zero. */
  services?: readonly string[];
  window: TrafficWindow;
  now?: () => number;
}

export function createMetrics(options: MetricsOptions): Metrics {
  const { version, site, services = [], window, now = Date.now } = options;
  const set = createMetricSet();
  collectDefaultMetrics({ register: set.registry });
  // promtool rejects gauges that end in `_total`. The same numbers are exported by type.
  for (const kind of ['handles', 'requests', 'resources'])
    set.registry.removeSingleMetric(`nodejs_active_${kind}_total`);
  set.buildInfo.set({ version, site, node: process.versions.node }, 1);
  for (const service of services) startRequestCounters(set, service);
  const sinceLastUpdate = window.accumulateTraffic();
  let edgeAges: { at: number; ageMs: number }[] = [];
  return {
    contentType: set.registry.contentType,
    accept(update) {
      set.instances.accept(update.instances);
      set.responseTime.remove((labels) => !update.instances.has(keyOfLabels(labels)));
      const attempts = sinceLastUpdate.takeAll().flatMap(({ totals }) => [...totals]);
      for (const [key, totals] of attempts) addAttempts(set, update.instances.get(key), totals);
      const host = update.metrics?.[0];
      if (host) {
        set.cpu.set(host.cpuUsage / 100);
        set.memory.set(host.memoryUsage / 100);
      }
      for (const change of update.changes) countChange(set, change);
    },
    requests: (delta) => addRequests(set, delta),
    probe({ service, instance, ok, latencyMs }) {
      set.instances.probe(instanceKey(service, instance), ok);
      set.probeDuration.observe({ service }, latencyMs / 1000);
    },
    edgeReport(report) {
      addEdgeReport(set, report);
      edgeAges = edgeAges.filter(({ at }) => now() - at < EDGE_AGE_WINDOW_MS).slice(-999);
      if (report.snapshot) edgeAges.push({ at: now(), ageMs: report.snapshot.ageMs });
    },
    listenerError: (listener) => set.listenerFaults.inc({ listener }),
    spansExported: (count) => set.spans.inc({ result: 'exported' }, count),
    spansDropped: (count) => set.spans.inc({ result: 'dropped' }, count),
    async render(status) {
      showStatus(set, status);
      const recent = edgeAges.filter(({ at }) => now() - at < EDGE_AGE_WINDOW_MS);
      set.edgeSnapshotAge.set(Math.max(0, ...recent.map(({ ageMs }) => ageMs)) / 1000);
      return inSlices(encoded(pageParts(set, await set.registry.metrics())));
    },
  };
}

function* pageParts(set: MetricSet, common: string): Generator<string> {
  yield common;
  yield '\n';
  yield* set.instances.parts();
  for (const histogram of [set.responseTime, set.clientDuration, set.probeDuration, set.edgeDuration]) {
    yield `\n${histogram.text()}`;
  }
}

/**
 * A page of ten thousand instances has 12 MB. Its bytes lie outside the heap of V8 and are free again as soon as it is sent;
 * a string would wait for the next full collection.
 */
function* encoded(parts: Iterable<string>): Generator<void, Buffer<ArrayBuffer>> {
  const buffers: Buffer[] = [];
  for (const part of parts) {
    buffers.push(Buffer.from(part));
    yield;
  }
  return Buffer.concat(buffers);
}

const keyOfLabels = ({ service = '', server = '' }: Readonly<Record<string, string>>): string =>
  instanceKey(service, server);

function addAttempts(set: MetricSet, instance: Instance | undefined, totals: TrafficTotals): void {
  if (!instance) return;
  const { service, id } = instance;
  if (totals.success + totals.failure > 0) set.instances.addAttempts(instanceKey(service, id), totals);
  if (totals.latency) set.responseTime.add({ service, server: id }, totals.latency);
}

/** A counter that appears with its first failure has no rate for that failure. */
function startRequestCounters(set: MetricSet, service: string): void {
  for (const source of ['edge', 'gateway']) {
    for (const code of STATUS_CLASSES) set.clientRequests.inc({ service, source, code }, 0);
    for (const one of [set.requestRetries, set.requestHedges, set.requestsLimited])
      one.inc({ service, source }, 0);
  }
}

function addRequests(set: MetricSet, delta: RequestDelta): void {
  const { service, source } = delta;
  for (const code of STATUS_CLASSES) set.clientRequests.inc({ service, source, code }, delta.statuses[code]);
  set.requestRetries.inc({ service, source }, delta.retries);
  set.requestHedges.inc({ service, source }, delta.hedges);
  set.requestsLimited.inc({ service, source }, delta.limited);
  if (delta.latency.count > 0) set.clientDuration.add({ service, source }, delta.latency);
}

function countChange(set: MetricSet, { service, kind, from, to }: Change): void {
  set.changes.inc({ service, kind });
  const failed = kind === 'state' && to === 'down' && from !== undefined && from !== 'draining';
  if (failed) set.failovers.inc({ service, kind: 'instance' });
}

function addEdgeReport(set: MetricSet, report: EdgeReport): void {
  set.edgeReports.inc();
  for (const seen of report.requests) {
    const { service } = seen;
    set.edgeRequests.inc({ service, code: '2xx' }, seen.status2xx);
    set.edgeRequests.inc({ service, code: '3xx' }, seen.status3xx);
    set.edgeRequests.inc({ service, code: '4xx' }, seen.status4xx);
    set.edgeRequests.inc({ service, code: '5xx' }, seen.status5xx);
    set.edgeRetries.inc({ service }, seen.retries);
    set.edgeHedges.inc({ service }, seen.hedges);
    set.failovers.inc({ service, kind: 'request' }, seen.failovers);
    set.edgeStale.inc({ service }, seen.stale);
    set.edgeShed.inc({ service }, seen.shed);
    set.edgeUnavailable.inc({ service }, seen.unavailable);
    set.edgeTurnedAway.inc({ service, reason: 'rate_limit' }, seen.limited);
    set.edgeTurnedAway.inc({ service, reason: 'access' }, seen.forbidden);
    set.edgeDuration.add({ service }, seen.latency);
  }
  for (const { service, policy, allowed, denied, shadowDenied } of report.limits) {
    set.edgeLimited.inc({ service, policy, result: 'allowed' }, allowed);
    set.edgeLimited.inc({ service, policy, result: 'denied' }, denied);
    set.edgeLimited.inc({ service, policy, result: 'shadow_denied' }, shadowDenied);
  }
}

function showStatus(set: MetricSet, { ready, leader, snapshot, sinks }: MetricsStatus): void {
  set.ready.set(ready ? 1 : 0);
  set.leader.set(leader.role === 'standby' ? 0 : 1);
  set.epoch.set(snapshot.epoch);
  set.seq.set(snapshot.seq);
  set.publishedAt.set((snapshot.publishedAt ?? 0) / 1000);
  // The sinks keep the totals; the counter shows them.
  set.sinkDropped.reset();
  for (const [sink, state] of Object.entries(sinks)) {
    set.sinkUp.set({ sink }, state.state === 'ok' ? 1 : 0);
    set.sinkPending.set({ sink }, state.pending);
    set.sinkDropped.inc({ sink }, state.dropped);
    set.sinkSuccess.set({ sink }, (state.lastSuccess ?? 0) / 1000);
  }
}

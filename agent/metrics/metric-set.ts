import { Counter, Gauge, Registry } from 'prom-client';
import { createInstanceMetrics } from './instance-metrics.ts';
import { createSketchHistogram } from './sketch-histogram.ts';

/** Seconds. Fine steps around 0.5, the latency target of the original guide. */
const LATENCY = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.4, 0.5, 0.75, 1, 2.5, 5, 10, 30, 60];

function createFactory(registry: Registry) {
  const registers = [registry];
  return {
    counter: <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
      new Counter({ name, help, labelNames, registers }),
    gauge: <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
      new Gauge({ name, help, labelNames, registers }),
  };
}

type MetricFactory = ReturnType<typeof createFactory>;

/** All metrics of the agent. */
export function createMetricSet() {
  const registry = new Registry();
  const factory = createFactory(registry);
  return {
    registry,
    ...guideMetrics(factory),
    ...requestMetrics(factory),
    ...instanceMetrics(factory),
    ...agentMetrics(factory),
    ...edgeMetrics(factory),
  };
}

export type MetricSet = ReturnType<typeof createMetricSet>;

/** The names that the original guide's dashboards use. */
function guideMetrics({ counter }: MetricFactory) {
  return {
    failovers: counter(
      'acgs_failover_events_total',
      'Requests the edge moved to another instance (kind request) and instances that stopped serving (kind instance).',
      ['service', 'kind'],
    ),
    responseTime: createSketchHistogram(
      'acgs_load_balancer_response_time_seconds',
      'Response time of attempts by instance, measured by HAProxy or, for direct attempts, by the edge.',
      LATENCY,
    ),
  };
}

/** Requests as clients saw them, each counted once. */
function requestMetrics({ counter }: MetricFactory) {
  const request = ['service', 'source'] as const;
  return {
    clientRequests: counter(
      'acgs_requests_total',
      'Requests by the status that the client got. source: edge, or gateway for clients that do not use the edge.',
      [...request, 'code'],
    ),
    clientDuration: createSketchHistogram(
      'acgs_request_duration_seconds',
      'Time until the client got the response headers. Rejected requests are left out.',
      LATENCY,
    ),
    requestRetries: counter(
      'acgs_request_retries_total',
      'Attempts made because the one before failed.',
      request,
    ),
    requestHedges: counter(
      'acgs_request_hedges_total',
      'Copies of late attempts, sent to another instance.',
      request,
    ),
    requestsLimited: counter(
      'acgs_requests_limited_total',
      'Requests rejected with 429 by a rate limit.',
      request,
    ),
  };
}

function instanceMetrics({ counter }: MetricFactory) {
  return {
    instances: createInstanceMetrics(),
    changes: counter('acgs_changes_total', 'Changes of instances, by kind.', ['service', 'kind']),
    probeDuration: createSketchHistogram(
      'acgs_probe_duration_seconds',
      'Probe duration.',
      [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 3, 10],
    ),
  };
}

function agentMetrics({ counter, gauge }: MetricFactory) {
  return {
    buildInfo: gauge('acgs_build_info', 'Always 1. The labels describe the agent.', [
      'version',
      'site',
      'node',
    ]),
    ready: gauge(
      'acgs_agent_ready',
      '1 once every configured instance has been probed, or five seconds after the start.',
    ),
    leader: gauge(
      'acgs_agent_leader',
      '1 while this agent leads: it writes history, alerts and the snapshot.',
    ),
    epoch: gauge('acgs_snapshot_epoch', 'Epoch of the last published snapshot.'),
    seq: gauge('acgs_snapshot_seq', 'Sequence number, within its epoch, of the last published snapshot.'),
    publishedAt: gauge(
      'acgs_snapshot_published_timestamp_seconds',
      'Time of the last accepted snapshot; 0 if none.',
    ),
    sinkUp: gauge('acgs_sink_up', '1 when the last delivery succeeded.', ['sink']),
    sinkPending: gauge('acgs_sink_pending', 'Updates or rows that wait, in memory and on disk.', ['sink']),
    sinkDropped: counter('acgs_sink_dropped_total', 'Updates or rows dropped.', ['sink']),
    sinkSuccess: gauge('acgs_sink_last_success_timestamp_seconds', 'Time of the last successful delivery.', [
      'sink',
    ]),
    spans: counter(
      'acgs_spans_total',
      'Spans for telemetry.otlp: exported, or dropped because the collector did not accept them or the queue was full.',
      ['result'],
    ),
    listenerFaults: counter(
      'acgs_listener_faults_total',
      'Updates that a part of the agent failed to process. A bug: see the log.',
      ['listener'],
    ),
    cpu: gauge('acgs_host_cpu_ratio', 'CPU use of the host; 1 means all processors are busy.'),
    memory: gauge('acgs_host_memory_ratio', 'Memory use of the host; 1 means all memory is in use.'),
  };
}

function edgeMetrics({ counter, gauge }: MetricFactory) {
  return {
    edgeReports: counter('acgs_edge_reports_total', 'Reports received from edges.'),
    edgeRequests: counter('acgs_edge_requests_total', 'Responses of edges, including 403 and 429.', [
      'service',
      'code',
    ]),
    edgeDuration: createSketchHistogram(
      'acgs_edge_request_duration_seconds',
      'Response time as clients of the edge saw it.',
      LATENCY,
    ),
    edgeRetries: counter('acgs_edge_retries_total', 'Attempts after the first.', ['service']),
    edgeHedges: counter('acgs_edge_hedges_total', 'Copies of late requests sent to another instance.', [
      'service',
    ]),
    edgeStale: counter(
      'acgs_edge_stale_answers_total',
      'Stale responses from the cache, sent because no instance responded.',
      ['service'],
    ),
    edgeShed: counter('acgs_edge_shed_total', 'Requests rejected by load shedding.', ['service']),
    edgeTurnedAway: counter(
      'acgs_edge_turned_away_total',
      'Requests rejected with 429 or 403 before an instance was chosen; acgs_edge_requests_total includes them.',
      ['service', 'reason'],
    ),
    edgeUnavailable: counter('acgs_edge_unavailable_total', 'Requests for which no instance was available.', [
      'service',
    ]),
    edgeLimited: counter('acgs_edge_rate_limited_total', 'Rate limit decisions.', [
      'service',
      'policy',
      'result',
    ]),
    edgeSnapshotAge: gauge(
      'acgs_edge_snapshot_age_seconds',
      'Age of the oldest snapshot that an edge reported in the last minute.',
    ),
  };
}

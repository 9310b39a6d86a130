import { Counter, Gauge, Registry } from 'prom-client';
import { createSketchHistogram } from './sketch-histogram.ts';

/** Seconds. 0.5 is the target of the guide; the ladder around it is fine enough for a useful p95. */
const LATENCY = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.4, 0.5, 0.75, 1, 2.5, 5, 10, 30, 60];

const INSTANCE = ['service', 'instance'] as const;

/** Every metric the agent serves: the names the guide's dashboards know, then our own. One place for all names. */
export function createMetricSet() {
  const registry = new Registry();
  const registers = [registry];
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Counter({ name, help, labelNames, registers });
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Gauge({ name, help, labelNames, registers });
  return {
    registry,
    requests: counter('acgs_load_balancer_requests_total', 'Requests answered, by instance and outcome.', [
      ...INSTANCE,
      'status',
    ]),
    failovers: counter(
      'acgs_failover_events_total',
      'Requests the edge moved to another instance (kind request) and instances that stopped serving (kind instance).',
      ['service', 'kind'],
    ),
    breaker: gauge(
      'acgs_circuit_breaker_status',
      'Circuit breaker: 0 closed, 0.5 half open, 1 open.',
      INSTANCE,
    ),
    health: gauge('acgs_backend_server_health', 'Active probes: 1 healthy, 0 not.', INSTANCE),
    responseTime: createSketchHistogram(
      'acgs_load_balancer_response_time_seconds',
      'Time to answer, by instance, as HAProxy (or, on the direct path, the edge) measured it.',
      LATENCY,
    ),

    state: gauge('acgs_instance_state', 'What traffic obeys: 1 for the state the instance is in.', [
      ...INSTANCE,
      'state',
    ]),
    admin: gauge('acgs_instance_admin', 'What the operator asked for: 1 for the state that holds.', [
      ...INSTANCE,
      'admin',
    ]),
    inflight: gauge('acgs_instance_inflight', 'Requests in flight.', INSTANCE),
    queued: gauge('acgs_instance_queued', 'Requests waiting for a connection.', INSTANCE),
    weight: gauge('acgs_instance_weight', 'Configured weight.', INSTANCE),
    changes: counter('acgs_changes_total', 'Changes of instances, by kind.', ['service', 'kind']),
    probes: counter('acgs_probes_total', 'Active probes, by result.', [...INSTANCE, 'result']),
    probeDuration: createSketchHistogram(
      'acgs_probe_duration_seconds',
      'How long probes took.',
      [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 3, 10],
    ),

    info: gauge('acgs_agent_info', 'Always 1; the version and the site are in the labels.', [
      'version',
      'site',
    ]),
    ready: gauge('acgs_agent_ready', '1 once every instance has been judged.'),
    leader: gauge('acgs_agent_leader', '1 when this agent writes history, alerts and the snapshot.'),
    epoch: gauge('acgs_snapshot_epoch', 'Epoch of the snapshot published last.'),
    seq: gauge('acgs_snapshot_seq', 'Number within the epoch of the snapshot published last.'),
    publishedAt: gauge(
      'acgs_snapshot_published_timestamp_seconds',
      'When a snapshot was last accepted; 0 when never.',
    ),
    sinkUp: gauge('acgs_sink_up', '1 when the last delivery went through.', ['sink']),
    sinkPending: gauge('acgs_sink_pending', 'Updates or rows waiting, in memory and on disk.', ['sink']),
    sinkDropped: gauge('acgs_sink_dropped', 'Updates or rows given up since the start.', ['sink']),
    sinkSuccess: gauge('acgs_sink_last_success_timestamp_seconds', 'When a delivery last went through.', [
      'sink',
    ]),
    listenerFaults: counter(
      'acgs_listener_faults_total',
      'News that a part of the agent failed to take: a fault of the agent, its log names it.',
      ['listener'],
    ),

    cpu: gauge('acgs_host_cpu_percent', "The host's processors, all of them busy is 100."),
    memory: gauge('acgs_host_memory_percent', "The host's memory in use."),

    edgeReports: counter('acgs_edge_reports_total', 'Reports received from edges.'),
    edgeRequests: counter(
      'acgs_edge_requests_total',
      'Requests answered by edges, those turned away included.',
      ['service', 'code'],
    ),
    edgeDuration: createSketchHistogram(
      'acgs_edge_request_duration_seconds',
      'Time to answer as clients of the edge saw it.',
      LATENCY,
    ),
    edgeRetries: counter('acgs_edge_retries_total', 'Tries beyond the first.', ['service']),
    edgeStale: counter('acgs_edge_stale_answers_total', 'Answers from cache because nothing else was left.', [
      'service',
    ]),
    edgeShed: counter('acgs_edge_shed_total', 'Requests refused under load.', ['service']),
    edgeTurnedAway: counter(
      'acgs_edge_turned_away_total',
      'Requests answered 429 or 403 before any instance was chosen; acgs_edge_requests_total has them too.',
      ['service', 'reason'],
    ),
    edgeUnavailable: counter('acgs_edge_unavailable_total', 'Requests nobody could answer.', ['service']),
    edgeLimited: counter('acgs_edge_rate_limited_total', 'Decisions of rate limits.', [
      'service',
      'policy',
      'result',
    ]),
    edgeSnapshotAge: gauge('acgs_edge_snapshot_age_seconds', 'Oldest snapshot an edge reported lately.'),
  };
}

export type MetricSet = ReturnType<typeof createMetricSet>;

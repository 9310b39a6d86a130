import type { EdgeTrace, EdgeTraceAttempt } from '../../shared/edge-trace.ts';
import type { GatewayRecord } from '../haproxy/telemetry/gateway-record.ts';
import { describeTermination } from './termination.ts';
import type { FoundTrace } from './trace-store.ts';

/** One request, described by what this agent knows. */
export interface TracedRequest {
  requestId: string;
  traceId: string | null;
  /** Epoch milliseconds. */
  at: number;
  method: string;
  path: string;
  client: string;
  service: string;
  /** What the client got, or HAProxy's answer to the last known attempt; null: no response. */
  status: number | null;
  /** In order of time. */
  steps: TraceStep[];
  /** What the agent does not know about the request, and why. */
  unknown: string[];
  edge: EdgeTrace | null;
  gateway: GatewayRecord[];
}

export interface TraceStep {
  /** Milliseconds since the start of the request. */
  offsetMs: number;
  by: 'edge' | 'gateway';
  text: string;
}

const NO_EDGE_REPORT =
  'What the edge did. It reports requests that failed, were slow or were rejected, and the share TRACE_SAMPLE of all ' +
  'others, up to 20 s later. It did not report this request, or reported it to another site or agent.';

/** The requests of a trace, oldest first. `site`: the site of this agent. */
export function describeRequests({ edge, gateway }: FoundTrace, site: string): TracedRequest[] {
  const left = new Set(gateway);
  const reported = edge.map((trace) => {
    const spans = new Set(trace.attempts.map(({ spanId }) => spanId));
    const own = gateway.filter(({ parentId }) => parentId !== null && spans.has(parentId));
    for (const record of own) left.delete(record);
    return describeEdgeRequest(trace, own, site);
  });
  const direct = [...left]
    .filter(({ fromEdge }) => !fromEdge)
    .map((record) => describeGatewayRequest([record]));
  const unreported = Map.groupBy(
    [...left].filter(({ fromEdge }) => fromEdge),
    ({ requestId, traceId }) => `${requestId} ${traceId}`,
  );
  return [...reported, ...direct, ...[...unreported.values()].map(describeGatewayRequest)].sort(
    (a, b) => a.at - b.at,
  );
}

function describeEdgeRequest(edge: EdgeTrace, gateway: GatewayRecord[], site: string): TracedRequest {
  const { requestId, traceId, at, method, path, client, service, status } = edge;
  const attempts = edge.attempts.flatMap((attempt, index) => {
    const records = gateway.filter(({ parentId }) => parentId === attempt.spanId);
    return attemptSteps(edge, attempt, index, records);
  });
  return {
    requestId,
    traceId,
    at,
    method,
    path,
    client,
    service,
    status,
    // Stable: steps at the same time keep their order.
    steps: [...arrival(edge), ...attempts, ending(edge)].sort((a, b) => a.offsetMs - b.offsetMs),
    unknown: edge.attempts.flatMap((attempt, index) => missingView(attempt, index, gateway, site)),
    edge,
    gateway,
  };
}

const edgeStep = (offsetMs: number, text: string): TraceStep => ({ offsetMs, by: 'edge', text });

function arrival(edge: EdgeTrace): TraceStep[] {
  const { client, method, scheme, host, path, service, parentId } = edge;
  const trace = parentId === null ? '' : "; continues the client's trace";
  const decision = decisionOf(edge);
  return [
    edgeStep(
      0,
      `${method} ${scheme}://${host}${path} from ${client}${service ? `, for service ${service}` : ''}${trace}`,
    ),
    ...(decision ? [edgeStep(0, decision)] : []),
  ];
}

function decisionOf({ kind, limitedBy, pick, attempts }: EdgeTrace): string | null {
  if (kind === 'limited') return `rejected by the rate limit ${limitedBy.join(', ')}`;
  if (kind === 'forbidden') return 'rejected by an access rule';
  if (kind === 'unrouted') return 'no service is configured for this path';
  if (kind === 'shed') return 'rejected to shed load: the service is overloaded';
  const instance = attempts[0]?.named ?? attempts[0]?.instance;
  switch (pick) {
    case 'pinned':
      return `the session is pinned to ${instance}`;
    case 'placed':
      return `the session id places the request on ${instance}`;
    case 'panic':
      return 'fewer than half of the instances look healthy, so health is ignored (panic mode)';
    case 'ejected':
      return 'only ejected instances are left';
    default:
      return attempts.length === 0 ? 'no instance can take the request' : null;
  }
}

function attemptSteps(
  edge: EdgeTrace,
  attempt: EdgeTraceAttempt,
  index: number,
  records: readonly GatewayRecord[],
): TraceStep[] {
  const name = `attempt ${index + 1}`;
  const startedAt = Math.max(0, attempt.at - edge.at);
  const endedAt = startedAt + attempt.ms;
  const role = attempt.hedge
    ? ' (a hedge, because an earlier attempt is late)'
    : index > 0
      ? ' (a retry)'
      : '';
  const target = attempt.named ?? 'the instance that HAProxy picks';
  const path =
    attempt.route === 'gateway'
      ? `through the gateway ${attempt.origin} to ${target}`
      : `directly to ${target} at ${attempt.origin}`;
  return [
    edgeStep(startedAt, `${name}${role}: ${path}`),
    ...records.map((record) => gatewayStep(recordEnd(attempt, startedAt, record), describeRecord(record))),
    edgeStep(endedAt, `${name}: ${resultOf(attempt, records)}`),
  ];
}

/** By the edge's clock. HAProxy may continue an attempt that the edge has cancelled. */
function recordEnd({ result, ms }: EdgeTraceAttempt, startedAt: number, { totalMs }: GatewayRecord): number {
  return startedAt + (result === 'cancelled' ? Math.max(ms, totalMs) : ms);
}

function resultOf(attempt: EdgeTraceAttempt, records: readonly GatewayRecord[]): string {
  const { result, status, unsent, instance, ms, error, route } = attempt;
  const isGatewayAnswer = records.some(({ responseMs }) => responseMs === null);
  const gateway = instance === null ? 'HAProxy' : `HAProxy, for ${instance},`;
  const who = isGatewayAnswer ? gateway : (instance ?? (route === 'gateway' ? 'HAProxy' : 'the instance'));
  switch (result) {
    case 'response':
      return unsent
        ? `HAProxy answered ${status} after ${ms} ms: no instance received the request`
        : `${who} answered ${status} after ${ms} ms`;
    case 'timeout':
      return `no response headers within ${ms} ms`;
    case 'broken':
      return `the connection broke after ${ms} ms: ${error}`;
    case 'cancelled':
      return `cancelled after ${ms} ms, because another attempt answered first`;
  }
}

function ending({ status, ms, kind }: EdgeTrace): TraceStep {
  const why = kind === 'stale' ? ', a stored response marked as stale' : '';
  return edgeStep(
    ms,
    status === 499 ? `the client left after ${ms} ms` : `the client got ${status} after ${ms} ms${why}`,
  );
}

function missingView(
  { route, site: of, spanId }: EdgeTraceAttempt,
  index: number,
  gateway: readonly GatewayRecord[],
  site: string,
): string[] {
  if (route !== 'gateway' || gateway.some(({ parentId }) => parentId === spanId)) return [];
  if (of !== null && of !== site)
    return [`HAProxy's view of attempt ${index + 1}: ask the agent of site ${of}.`];
  return [`HAProxy's view of attempt ${index + 1}: this agent got no log line of it, or has dropped it.`];
}

/** `records`: one or more, all of one request. */
function describeGatewayRequest(records: GatewayRecord[]): TracedRequest {
  const sorted = records.toSorted((a, b) => a.at - b.at);
  const [first, last] = [sorted[0], sorted.at(-1)];
  if (!first || !last) throw new Error('a request without a record');
  const { requestId, traceId, at, method, path, client, service } = first;
  return {
    requestId,
    traceId,
    at,
    method,
    path,
    client,
    service,
    status: last.status,
    steps: [
      gatewayStep(
        0,
        `${method} ${path} from ${client}${service ? `, for service ${service}` : ', for no service'}`,
      ),
      ...sorted.map((record) => gatewayStep(record.at - at + record.totalMs, describeRecord(record))),
    ],
    unknown: first.fromEdge ? [NO_EDGE_REPORT] : [],
    edge: null,
    gateway: sorted,
  };
}

const gatewayStep = (offsetMs: number, text: string): TraceStep => ({ offsetMs, by: 'gateway', text });

/** One line of HAProxy's log as a sentence. */
export function describeRecord(record: GatewayRecord): string {
  const { instance, status, termination, retries, redispatched } = record;
  const end = describeTermination(termination);
  const isAnswered = record.responseMs !== null;
  const answer = status === null ? 'no response was sent' : `HAProxy answered ${status}`;
  const retried = retries === 0 ? '' : `, ${retries === 1 ? '1 retry' : `${retries} retries`}`;
  return [
    isAnswered ? `${instance} answered ${status}` : instance ? `${answer} for ${instance}` : answer,
    `${phases(record)}${retried}${redispatched ? ', the last on another instance' : ''}`,
    ...(end ? [`${end} (${termination})`] : []),
  ].join('; ');
}

function phases({ queueMs, connectMs, responseMs, totalMs }: GatewayRecord): string {
  const reached = [
    ['queue', queueMs],
    ['connect', connectMs],
    ['response headers', responseMs],
  ].flatMap(([name, ms]) => (ms === null ? [] : [`${name} ${ms} ms`]));
  return [...reached, `total ${totalMs} ms`].join(', ');
}

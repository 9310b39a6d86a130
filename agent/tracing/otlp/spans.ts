import type { EdgeTrace, EdgeTraceAttempt } from '../../../shared/edge-trace.ts';
import type { GatewayRecord } from '../../haproxy/telemetry/gateway-record.ts';

/** A span with the names of OpenTelemetry's semantic conventions for HTTP. Times are epoch milliseconds. */
export interface SpanData {
  /** The resource: `acgs-lb-edge` or `acgs-lb-gateway`. */
  service: 'acgs-lb-edge' | 'acgs-lb-gateway';
  name: string;
  kind: 'server' | 'client';
  traceId: string;
  spanId: string;
  parentId: string | null;
  startMs: number;
  endMs: number;
  failed: boolean;
  attributes: Record<string, string | number | boolean>;
}

const KNOWN_METHODS = new Set([
  'CONNECT',
  'DELETE',
  'GET',
  'HEAD',
  'OPTIONS',
  'PATCH',
  'POST',
  'PUT',
  'QUERY',
  'TRACE',
]);

/** The request, and its attempts as its children. */
export function edgeSpans(trace: EdgeTrace): SpanData[] {
  const { traceId, spanId, parentId, at, ms, method, status, kind, service, requestId } = trace;
  const failed = status >= 500;
  const request: SpanData = {
    service: 'acgs-lb-edge',
    name: spanName(method),
    kind: 'server',
    traceId,
    spanId,
    parentId,
    startMs: at,
    endMs: at + ms,
    failed,
    attributes: {
      ...methodAttributes(method),
      'url.scheme': trace.scheme,
      'url.path': trace.path,
      ...addressAttributes(`${trace.scheme}://${trace.host}`),
      'client.address': trace.client,
      'http.response.status_code': status,
      ...(failed && { 'error.type': String(status) }),
      'acgs.service': service,
      'acgs.request_id': requestId,
      'acgs.outcome': kind,
      ...(trace.limitedBy.length > 0 && { 'acgs.limited_by': trace.limitedBy.join(',') }),
    },
  };
  return [request, ...trace.attempts.map((attempt, index) => attemptSpan(trace, attempt, index))];
}

function attemptSpan(trace: EdgeTrace, attempt: EdgeTraceAttempt, index: number): SpanData {
  const { result, status, hedge, instance, named, site, origin } = attempt;
  const error = errorType(attempt);
  return {
    service: 'acgs-lb-edge',
    name: spanName(trace.method),
    kind: 'client',
    traceId: trace.traceId,
    spanId: attempt.spanId,
    parentId: trace.spanId,
    startMs: attempt.at,
    endMs: attempt.at + attempt.ms,
    failed: error !== null,
    attributes: {
      ...methodAttributes(trace.method),
      'url.full': origin + trace.path,
      ...addressAttributes(origin),
      ...(status !== null && { 'http.response.status_code': status }),
      ...(error !== null && { 'error.type': error }),
      ...(index > 0 && !hedge && { 'http.request.resend_count': index }),
      'acgs.service': trace.service,
      'acgs.route': attempt.route,
      'acgs.result': result,
      'acgs.hedge': hedge,
      ...(instance !== null && { 'acgs.instance': instance }),
      ...(named !== null && { 'acgs.named_instance': named }),
      ...(site !== null && { 'acgs.site': site }),
    },
  };
}

/** For a client span, 4xx is an error as well. A cancelled attempt is not. */
function errorType({ result, status }: EdgeTraceAttempt): string | null {
  if (result === 'timeout') return 'timeout';
  if (result === 'broken') return 'connection_broken';
  return status !== null && status >= 400 ? String(status) : null;
}

/** Null for a request that HAProxy refused before it had a trace. */
export function gatewaySpan(record: GatewayRecord, site: string): SpanData | null {
  const { traceId, spanId, parentId, at, totalMs, method, status, instance, termination } = record;
  if (traceId === null || spanId === null) return null;
  const failed = status === null || status >= 500;
  return {
    service: 'acgs-lb-gateway',
    name: spanName(method),
    kind: 'server',
    traceId,
    spanId,
    parentId,
    startMs: at,
    endMs: at + totalMs,
    failed,
    attributes: {
      ...methodAttributes(method),
      'url.scheme': record.scheme,
      'url.path': record.path,
      'client.address': record.client,
      ...(status !== null && { 'http.response.status_code': status }),
      ...(failed && { 'error.type': status === null ? 'no_response' : String(status) }),
      'acgs.service': record.service,
      'acgs.site': site,
      'acgs.request_id': record.requestId,
      ...(instance !== null && { 'acgs.instance': instance }),
      ...timings(record),
      'acgs.haproxy.retries': record.retries,
      'acgs.haproxy.termination_state': termination,
    },
  };
}

const timings = ({ queueMs, connectMs, responseMs }: GatewayRecord) => ({
  ...(queueMs !== null && { 'acgs.haproxy.queue_ms': queueMs }),
  ...(connectMs !== null && { 'acgs.haproxy.connect_ms': connectMs }),
  ...(responseMs !== null && { 'acgs.haproxy.response_ms': responseMs }),
});

const spanName = (method: string): string => (KNOWN_METHODS.has(method) ? method : 'HTTP');

const methodAttributes = (method: string): SpanData['attributes'] =>
  KNOWN_METHODS.has(method)
    ? { 'http.request.method': method }
    : { 'http.request.method': '_OTHER', 'http.request.method_original': method };

const DEFAULT_PORTS: Partial<Record<string, number>> = { 'http:': 80, 'https:': 443 };

function addressAttributes(origin: string): SpanData['attributes'] {
  const url = URL.parse(origin);
  if (!url) return {};
  return {
    'server.address': url.hostname,
    'server.port': Number(url.port) || (DEFAULT_PORTS[url.protocol] ?? 0),
  };
}

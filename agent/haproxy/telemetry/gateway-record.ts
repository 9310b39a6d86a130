import { isSampled, parseTraceparent } from '../../../shared/trace-context.ts';
import { serviceOfBackend } from '../long-lived.ts';

/** What HAProxy's log says about one request. Times are in milliseconds; null if the phase was not reached. */
export interface GatewayRecord {
  requestId: string;
  traceId: string | null;
  /** HAProxy's own span, the parent of the instance's span. */
  spanId: string | null;
  /** The span of the caller: an attempt of the edge, or a client. */
  parentId: string | null;
  sampled: boolean;
  /** When the request began, epoch milliseconds. */
  at: number;
  /** Address without port. */
  client: string;
  /** Empty when the request has no route. */
  service: string;
  /** Null: no server was selected. */
  instance: string | null;
  /** The edge counts the request. */
  fromEdge: boolean;
  method: string;
  /** Without query. Cut off if the log line was. */
  path: string;
  scheme: 'http' | 'https';
  /** Null: HAProxy sent no response. */
  status: number | null;
  requestMs: number | null;
  queueMs: number | null;
  connectMs: number | null;
  responseMs: number | null;
  totalMs: number;
  /** HAProxy's termination state, such as `sH`; `--` for a normal end. */
  termination: string;
  retries: number;
  /** The last retry went to another server. */
  redispatched: boolean;
}

const LINE =
  /^(\S+):\d+ \[[^\]]*\] (\S+) ([^/\s]+)\/(\S+) (-?\d+)\/(-?\d+)\/(-?\d+)\/(-?\d+)\/\+?(-?\d+) (-?\d+) \S+ (\S+) (\S+) (\S{2})\S* \d+\/\d+\/\d+\/\d+\/(\+?)(\d+) \S+ \{([^|}]*)\|([^|}]*)\|([^|}]*)\} "(\S+) ?([^\s"]*)/;

/** `receivedAt`: when the line arrived, because HAProxy writes it at the end of the request. Null for any other line. */
export function parseGatewayRecord(line: string, receivedAt: number): GatewayRecord | null {
  const match = LINE.exec(line);
  if (!match) return null;
  const [, client = '', frontend = '', backend = '', server = '', ...rest] = match;
  const [request, queue, connect, response, total, status] = rest.slice(0, 6).map(Number);
  const [
    counted,
    routed = '',
    flags = '',
    plus,
    retries,
    id = '',
    traceparent = '',
    parent,
    method = '',
    path = '',
  ] = rest.slice(6);
  const trace = parseTraceparent(traceparent);
  const totalMs = Math.max(0, total ?? 0);
  return {
    requestId: id === '-' ? '' : id,
    traceId: trace?.traceId ?? null,
    spanId: trace?.parentId ?? null,
    parentId: trace && parent !== '-' ? (parent ?? null) : null,
    sampled: trace !== null && isSampled(trace.flags),
    at: receivedAt - totalMs,
    client,
    service: backend.startsWith('_') ? serviceName(routed) : serviceOfBackend(backend),
    instance: server.startsWith('<') ? null : server,
    fromEdge: counted === '1',
    method,
    path,
    scheme: frontend.endsWith('~') ? 'https' : 'http',
    status: status !== undefined && status > 0 ? status : null,
    requestMs: phase(request),
    queueMs: phase(queue),
    connectMs: phase(connect),
    responseMs: phase(response),
    totalMs,
    termination: flags,
    retries: Number(retries),
    redispatched: plus === '+',
  };
}

/** Empty for `-` and for the gateway's own backends. */
const serviceName = (text: string): string => (text === '-' || text.startsWith('_') ? '' : text);

const phase = (ms = -1): number | null => (ms < 0 ? null : ms);

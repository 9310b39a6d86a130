/**
 * What the edge did with one request. A report has such a trace for requests that failed, were slow, rejected, or
 * sampled.
 */
export interface EdgeTrace {
  requestId: string;
  traceId: string;
  /** The client's span; null when the edge started the trace. */
  parentId: string | null;
  spanId: string;
  sampled: boolean;
  /** Epoch milliseconds, by the edge's clock. */
  at: number;
  /** Until the response headers. */
  ms: number;
  method: string;
  scheme: string;
  host: string;
  /** Without query, shortened to MAX_TRACE_PATH characters. */
  path: string;
  client: string;
  /** Empty if no service has the path. */
  service: string;
  /** The status that the client got. */
  status: number;
  kind: 'answer' | 'stale' | 'shed' | 'unavailable' | 'limited' | 'forbidden' | 'unrouted';
  /** The rate limits that rejected the request. */
  limitedBy: string[];
  /** How the first instance was picked; null when the request was sent to none. */
  pick: 'pinned' | 'placed' | 'picked' | 'panic' | 'ejected' | null;
  attempts: EdgeTraceAttempt[];
}

export interface EdgeTraceAttempt {
  spanId: string;
  /** Epoch milliseconds. */
  at: number;
  /** Until the response headers, or until the attempt ended without them. */
  ms: number;
  /** Through the site's gateway, or directly to the instance. */
  route: 'gateway' | 'direct';
  origin: string;
  site: string | null;
  /** The instance that the edge named; null: the gateway picked. */
  named: string | null;
  /** The instance that answered; null if it is not known. */
  instance: string | null;
  /** A copy, sent because an earlier attempt was late. */
  hedge: boolean;
  result: 'response' | 'timeout' | 'broken' | 'cancelled';
  /** Of the response; null without one. */
  status: number | null;
  /** The gateway proved that no instance received the request. */
  unsent: boolean;
  /** The runtime's message for a broken attempt; otherwise empty. */
  error: string;
}

/** A request that takes this long or longer counts as slow. */
export const SLOW_REQUEST_MS = 1_000;
export const MAX_TRACE_PATH = 256;

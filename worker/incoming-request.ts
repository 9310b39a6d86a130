import type { TraceContext } from '../shared/trace-context.ts';
import type { ClientFields } from './io/client-fields.ts';

/** A client's request, parsed once for all steps. */
export interface IncomingRequest {
  readonly request: Request;
  readonly method: string;
  readonly startedAt: number;
  /** `https` or `http`, as used by the client. */
  readonly proto: string;
  /** As in the URL, with a port if there is one. */
  readonly host: string;
  /** Without query. */
  readonly path: string;
  /** Path and query, unchanged. */
  readonly target: string;
  readonly clientAddress: string;
  /** The key for limits and placement: the address, or the /64 of an IPv6 address. */
  readonly clientKey: string;
  readonly requestId: string;
  readonly trace: TraceContext;
  readonly idempotent: boolean;
  /** `x-governance-session`. */
  readonly governanceSessionId: string | null;
  readonly cookieHeader: string | null;
  /** `x-acgs-explain` with a valid token. */
  readonly explainRequested: boolean;
  /** The client's header fields, for the runtime to copy. */
  readonly headers: Headers;
  /** The same fields as a list, which is cheaper to read. */
  readonly fields: ClientFields;
  /** The names of fields that are not passed on: hop-by-hop, `x-acgs-*` and untrusted ones. */
  readonly droppedFields: readonly string[];
  readonly isWebSocket: boolean;
  readonly wantsEventStream: boolean;
  /** The connection may stay open for long, by the rules of the service. */
  longLived: boolean;
  readonly isGrpc: boolean;
  /** The service that the edge chose; null until then. */
  service: string | null;
  /** Values of `RateLimit` and `RateLimit-Policy` for the answer; null: none. */
  rateLimitFields: RateLimitFields | null;
  /** The client has disconnected. */
  clientGone: boolean;
  /** Called when the client disconnects. */
  readonly abortCallbacks: (() => void)[];
}

export interface RateLimitFields {
  readonly limit: string;
  readonly policy: string;
}

/** Workers cannot send a GET or HEAD with a body. */
export const hasForbiddenBody = ({ method, request, fields }: IncomingRequest): boolean =>
  (method === 'GET' || method === 'HEAD') && request.body !== null && fields.get('content-length') !== '0';

/**
 * Aborts the attempts when the client disconnects, and takes them out of the in-flight count. Without this the runtime
 * ends the request silently, or not at all while background work keeps it alive. Call it when there is background work
 * or when an attempt takes long: reading the signal costs too much for every request.
 */
export function watchClientDisconnect(incoming: IncomingRequest): void {
  incoming.request.signal.onabort = () => {
    incoming.clientGone = true;
    for (const abort of incoming.abortCallbacks) abort();
  };
}

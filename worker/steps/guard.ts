import { clientKey } from '../../shared/address.ts';
import { hopByHopFields } from '../../shared/hop-by-hop.ts';
import { acceptsEventStream } from '../../shared/long-lived.ts';
import type { RequestUrl } from '../../shared/request-url.ts';
import { isIdempotent } from '../../shared/retry.ts';
import { isRequestId } from '../../shared/trace-context.ts';
import { isUntrustedField } from '../../shared/untrusted-fields.ts';
import type { IncomingRequest } from '../incoming-request.ts';
import type { ClientFields } from '../io/client-fields.ts';
import type { TraceIds } from '../io/trace-ids.ts';
import type { EdgeSettings } from '../settings.ts';
import { readClientAddress } from './client-address.ts';
import * as errors from './error-responses.ts';
import { startTrace } from './trace.ts';

interface GuardContext {
  readonly settings: EdgeSettings;
  readonly newRequestId: () => string;
  readonly traceIds: TraceIds;
  readonly random: () => number;
  readonly isExplainAuthorized: (token: string | null, client: string) => boolean;
}

interface ClientRequest {
  readonly url: RequestUrl;
  readonly request: Request;
  readonly headers: Headers;
  readonly fields: ClientFields;
}

type GuardResult = { ok: true; incoming: IncomingRequest } | { ok: false; refusal: Response };

/** Determines the client and what it requests, and which of its headers may be passed on. */
export function guard(
  { url, request, headers, fields }: ClientRequest,
  edge: GuardContext,
  now: number,
): GuardResult {
  const { method } = request;
  const requestId = validRequestId(fields.get('x-request-id')) ?? edge.newRequestId();
  const refusal = refusalOf({ method, requestId }, fields, edge.settings.maxHeaderBytes);
  if (refusal) return { ok: false, refusal };
  const address = readClientAddress(request, fields, edge.settings);
  if (!address.ok) return { ok: false, refusal: errors.misconfigured(requestId, address.why) };
  const { proto, host, target } = url;
  const query = target.indexOf('?');
  // The runtime sends every WebSocket handshake as a GET, whatever its method was.
  const isWebSocket = method === 'GET' && fields.get('upgrade')?.toLowerCase() === 'websocket';
  const trace = startTrace(fields.get('traceparent'), edge);
  const explain =
    fields.get('x-acgs-explain') !== null &&
    edge.isExplainAuthorized(fields.get('x-acgs-token'), clientKey(address.address));
  const incoming: IncomingRequest = {
    request,
    method,
    startedAt: now,
    proto,
    host,
    target,
    path: query < 0 ? target : target.slice(0, query),
    clientAddress: address.address,
    clientKey: clientKey(address.address),
    requestId,
    trace,
    idempotent: isIdempotent(method, Boolean(fields.get('idempotency-key'))),
    governanceSessionId: fields.get('x-governance-session'),
    cookieHeader: fields.get('cookie'),
    explainRequested: explain,
    headers,
    fields,
    droppedFields: droppedFields(fields.names, {
      connection: fields.get('connection'),
      isWebSocket,
      startsTrace: trace.parentId === null,
    }),
    isWebSocket,
    wantsEventStream: acceptsEventStream(fields.get('accept')),
    longLived: false,
    isGrpc: method === 'POST' && GRPC_TYPE.test(fields.get('content-type') ?? ''),
    service: null,
    rateLimitFields: null,
    clientGone: false,
    abortCallbacks: [],
  };
  return { ok: true, incoming };
}

/** gRPC with any message encoding. gRPC-Web (`application/grpc-web`) has its trailers in the body and may pass. */
const GRPC_TYPE = /^application\/grpc(?:$|[+;\s])/i;

/** All but the tab. Bytes above 127 may be UTF-8. */
const CONTROL_CHARACTER = /[^\t -~\u0080-\uffff]/;

/** Schemes that log in a connection instead of a request (RFC 4559 §6). Clients share the edge's connections. */
const CONNECTION_LOGIN = /^(?:ntlm|negotiate)(?: |$)/i;

/** What the gateway refuses too, and logins that only it can pass on; docs/security.md has the tables. */
function refusalOf(
  { method, requestId }: Pick<IncomingRequest, 'method' | 'requestId'>,
  fields: ClientFields,
  maxHeaderBytes: number,
): Response | null {
  if (method === 'TRACE') return errors.methodRefused(requestId);
  if (fields.values.some((value) => CONTROL_CHARACTER.test(value))) return errors.invalidField(requestId);
  if (CONNECTION_LOGIN.test(fields.get('authorization') ?? '')) return errors.connectionLogin(requestId);
  return fields.bytes > maxHeaderBytes ? errors.headersTooLarge(requestId, maxHeaderBytes) : null;
}

function droppedFields(
  names: readonly string[],
  request: { connection: string | null; isWebSocket: boolean; startsTrace: boolean },
): readonly string[] {
  const hopByHop = hopByHopFields(names, request.connection);
  const dropped = request.isWebSocket ? hopByHop.filter((name) => name !== 'upgrade') : hopByHop;
  for (const name of names) {
    // `tracestate` belongs to the parent.
    const isOrphan = request.startsTrace && name === 'tracestate';
    if (isOrphan || name.startsWith('x-acgs-') || isUntrustedField(name)) dropped.push(name);
  }
  return dropped;
}

/** A client's request id ends up in logs, so it is kept only when it is short and has no unusual characters. */
function validRequestId(id: string | null): string | null {
  return id !== null && isRequestId(id) ? id : null;
}

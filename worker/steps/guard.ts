import { clientKey } from '../../shared/address.ts';
import { hopByHopFields } from '../../shared/hop-by-hop.ts';
import type { RequestUrl } from '../../shared/request-url.ts';
import { isIdempotent } from '../../shared/retry.ts';
import type { EdgeSettings } from '../settings.ts';
import { readClientAddress } from './client-address.ts';

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
  readonly idempotent: boolean;
  /** `x-governance-session`. */
  readonly governanceSessionId: string | null;
  readonly cookieHeader: string | null;
  /** `x-acgs-explain` with a valid token. */
  readonly explainRequested: boolean;
  /** Headers for the upstream: the client's without hop-by-hop and `x-acgs-*` headers, plus those a proxy adds. */
  readonly headers: Headers;
  /** The client has disconnected. */
  clientGone: boolean;
  /** Called when the client disconnects. */
  readonly abortCallbacks: (() => void)[];
}

interface GuardContext {
  readonly settings: EdgeSettings;
  readonly newRequestId: () => string;
  readonly isExplainAuthorized: (token: string | null) => boolean;
}

type GuardResult = { ok: true; incoming: IncomingRequest } | { ok: false; why: string };

/** Determines the client and what it requests, and which of its headers may be passed on. */
export function guard(url: RequestUrl, request: Request, edge: GuardContext, now: number): GuardResult {
  const address = readClientAddress(request, edge.settings);
  if (!address.ok) return address;
  const { method } = request;
  const { proto, host, target } = url;
  const query = target.indexOf('?');
  const sent = request.headers;
  const names = [...sent.keys()];
  /** Searching the list is cheaper than a call into the runtime. */
  const headerOf = (name: string): string | null => (names.includes(name) ? sent.get(name) : null);
  const requestId = validRequestId(headerOf('x-request-id')) ?? edge.newRequestId();
  const headers = forwardedHeaders(sent, names, headerOf);
  addProxyHeaders(headers, { client: address.address, host, proto, requestId });
  const explain = headerOf('x-acgs-explain') !== null && edge.isExplainAuthorized(headerOf('x-acgs-token'));
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
    idempotent: isIdempotent(method, Boolean(headerOf('idempotency-key'))),
    governanceSessionId: headerOf('x-governance-session'),
    cookieHeader: headerOf('cookie'),
    explainRequested: explain,
    headers,
    clientGone: false,
    abortCallbacks: [],
  };
  return { ok: true, incoming };
}

/** Workers cannot send a GET or HEAD with a body. */
export const hasForbiddenBody = ({ method, request }: IncomingRequest): boolean =>
  (method === 'GET' || method === 'HEAD') &&
  request.body !== null &&
  request.headers.get('content-length') !== '0';

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

/**
 * The client's headers that may be passed on. The runtime copies them and the unwanted ones are deleted: setting them one
 * by one would cost as much as the rest of the request.
 */
function forwardedHeaders(
  sent: Headers,
  names: readonly string[],
  headerOf: (name: string) => string | null,
): Headers {
  const headers = new Headers(sent);
  const ownNames = names.filter((name) => name.startsWith('x-acgs-'));
  const isWebSocket = headerOf('upgrade')?.toLowerCase() === 'websocket';
  for (const name of [...ownNames, ...hopByHopFields(names, headerOf('connection'))]) {
    if (name !== 'upgrade' || !isWebSocket) headers.delete(name);
  }
  return headers;
}

interface ProxyHeaderValues {
  client: string;
  host: string;
  proto: string;
  requestId: string;
}

function addProxyHeaders(headers: Headers, { client, host, proto, requestId }: ProxyHeaderValues): void {
  const node = client.includes(':') ? `"[${client}]"` : client;
  // Appended to the client's own entries: a reader may trust only the last one.
  headers.append('x-forwarded-for', client);
  headers.append('forwarded', `for=${node};host="${host}";proto=${proto}`);
  headers.append('via', '1.1 acgs-lb');
  // These replace the client's own.
  headers.set('x-forwarded-proto', proto);
  headers.set('x-forwarded-host', host);
  headers.set('x-request-id', requestId);
}

/** A client's request id ends up in logs, so it is kept only when it is short and has no unusual characters. */
function validRequestId(id: string | null): string | null {
  return id !== null && /^[A-Za-z0-9._:/+=-]{1,128}$/.test(id) ? id : null;
}

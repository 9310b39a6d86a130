import { clientKey } from '../../shared/address.ts';
import { hopByHopFields } from '../../shared/hop-by-hop.ts';
import type { RequestUrl } from '../../shared/request-url.ts';
import { isIdempotent } from '../../shared/retry.ts';
import type { EdgeSettings } from '../settings.ts';
import { readClientAddress } from './client-address.ts';

/** A client's request, read once: what later steps need, and the headers that go on. */
export interface IncomingRequest {
  readonly request: Request;
  readonly method: string;
  readonly startedAt: number;
  /** `https` or `http`, as the client spoke it. */
  readonly proto: string;
  /** As in the URL, with a port if there is one. */
  readonly host: string;
  /** Without query. */
  readonly path: string;
  /** Byte for byte as it came. */
  readonly target: string;
  readonly clientAddress: string;
  /** The client as limits and placement count it. */
  readonly clientKey: string;
  readonly requestId: string;
  readonly idempotent: boolean;
  /** `x-governance-session`. */
  readonly governanceSessionId: string | null;
  readonly cookieHeader: string | null;
  /** An authorised `x-acgs-explain`. */
  readonly explainRequested: boolean;
  /** To send on: the client's, less hop-by-hop and `x-acgs-*`, plus what a proxy adds. */
  readonly headers: Headers;
  /** The client has hung up: nobody is left to answer. */
  clientGone: boolean;
  /** What to call when it does. */
  readonly abortCallbacks: (() => void)[];
}

/** What it needs of the edge. */
interface GuardContext {
  readonly settings: EdgeSettings;
  readonly newRequestId: () => string;
  readonly isExplainAuthorized: (token: string | null) => boolean;
}

export type GuardResult = { ok: true; incoming: IncomingRequest } | { ok: false; why: string };

/** Step 1. Who asks, for what, and which of its headers may go on. */
export function guard(url: RequestUrl, request: Request, edge: GuardContext, now: number): GuardResult {
  const address = readClientAddress(request, edge.settings);
  if (!address.ok) return address;
  const { method } = request;
  const { proto, host, target } = url;
  const query = target.indexOf('?');
  const sent = request.headers;
  const names = [...sent.keys()];
  /** Asking the runtime costs more than looking through the list. */
  const fieldOf = (name: string): string | null => (names.includes(name) ? sent.get(name) : null);
  const requestId = validRequestId(fieldOf('x-request-id')) ?? edge.newRequestId();
  const headers = forwardedHeaders(sent, names, fieldOf);
  addProxyHeaders(headers, { client: address.address, host, proto, requestId });
  const explain = fieldOf('x-acgs-explain') !== null && edge.isExplainAuthorized(fieldOf('x-acgs-token'));
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
    idempotent: isIdempotent(method, Boolean(fieldOf('idempotency-key'))),
    governanceSessionId: fieldOf('x-governance-session'),
    cookieHeader: fieldOf('cookie'),
    explainRequested: explain,
    headers,
    clientGone: false,
    abortCallbacks: [],
  };
  return { ok: true, incoming };
}

/**
 * The runtime ends a request's work when its client hangs up, but not while something is left to do in the background.
 * To be called when there is, or when a try takes long, which then leaves the in-flight count at once: looking at the
 * signal costs too much to do it for every request.
 */
export function watchClientDisconnect(incoming: IncomingRequest): void {
  incoming.request.signal.onabort = () => {
    incoming.clientGone = true;
    for (const stop of incoming.abortCallbacks) stop();
  };
}

/**
 * What goes on of the client's fields. A copy made by the runtime, less what must not go on: handed over one by one, the
 * fields cost as much as all the rest of the request.
 */
function forwardedHeaders(
  sent: Headers,
  names: readonly string[],
  fieldOf: (name: string) => string | null,
): Headers {
  const headers = new Headers(sent);
  const ownNames = names.filter((name) => name.startsWith('x-acgs-'));
  const isWebSocket = fieldOf('upgrade')?.toLowerCase() === 'websocket';
  for (const name of [...ownNames, ...hopByHopFields(names, fieldOf('connection'))]) {
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

/** Appended to what the client claims, never believed: the last entry is the one a reader may trust. */
function addProxyHeaders(headers: Headers, { client, host, proto, requestId }: ProxyHeaderValues): void {
  const node = client.includes(':') ? `"[${client}]"` : client;
  headers.append('x-forwarded-for', client);
  headers.append('forwarded', `for=${node};host="${host}";proto=${proto}`);
  headers.append('via', '1.1 acgs-lb');
  // A client's word for these is replaced.
  headers.set('x-forwarded-proto', proto);
  headers.set('x-forwarded-host', host);
  headers.set('x-request-id', requestId);
}

/** A client's own request id is kept when it is short and plain: it ends up in logs. */
function validRequestId(id: string | null): string | null {
  return id !== null && /^[A-Za-z0-9._:/+=-]{1,128}$/.test(id) ? id : null;
}

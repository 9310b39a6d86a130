import { clientKey } from '../../shared/address.ts';
import { isIdempotent } from '../../shared/retry.ts';
import type { Edge } from '../edge.ts';
import { clientAddress } from './client-address.ts';

/** A client's request, read once: what later steps need, and the headers that go on. */
export interface Incoming {
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
  readonly client: string;
  /** The client as limits and placement count it. */
  readonly clientKey: string;
  readonly requestId: string;
  readonly idempotent: boolean;
  readonly isUpgrade: boolean;
  /** `x-governance-session`. */
  readonly governance: string | null;
  readonly cookie: string | null;
  /** An authorised `x-acgs-explain`. */
  readonly explain: boolean;
  /** To send on: the client's, less hop-by-hop and `x-acgs-*`, plus what a proxy adds. */
  readonly headers: Headers;
  /** Whether `headers` may hold what the last try was addressed by. */
  addressed: boolean;
  /** The client has hung up: nobody is left to answer. */
  gone: boolean;
  /** What to abort when it does. */
  readonly running: AbortController[];
}

/** Hop-by-hop fields (RFC 9110 §7.6.1): about this connection, never passed on. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

export type Guarded = { ok: true; incoming: Incoming } | { ok: false; why: string };

/** Step 1. Who asks, for what, and which of its headers may go on. */
export function guard(request: Request, edge: Edge, now: number): Guarded {
  const address = clientAddress(request, edge.settings);
  if (!address.ok) return address;
  const { url, method } = request;
  const schemeEnd = url.indexOf('://');
  const slash = url.indexOf('/', schemeEnd + 3);
  const proto = url.slice(0, schemeEnd);
  const host = url.slice(schemeEnd + 3, slash);
  const target = url.slice(slash);
  const query = target.indexOf('?');
  const from = request.headers;
  const isUpgrade = from.get('upgrade')?.toLowerCase() === 'websocket';
  const headers = new Headers(from);
  const special = dropUnwanted(from, headers, isUpgrade);
  const requestId = usableId(special.requestId) ?? edge.newRequestId();
  appendProxyFields(headers, { client: address.address, host, proto, requestId });
  const incoming: Incoming = {
    request,
    method,
    startedAt: now,
    proto,
    host,
    target,
    path: query < 0 ? target : target.slice(0, query),
    client: address.address,
    clientKey: clientKey(address.address),
    requestId,
    idempotent: isIdempotent(method, special.idempotencyKey),
    isUpgrade,
    governance: special.governance,
    cookie: special.cookie,
    explain: special.explain !== null && edge.mayExplain(special.token),
    headers,
    addressed: false,
    gone: false,
    running: [],
  };
  request.signal.onabort = () => {
    incoming.gone = true;
    for (const controller of incoming.running) controller.abort();
  };
  return { ok: true, incoming };
}

interface Special {
  requestId: string | null;
  governance: string | null;
  cookie: string | null;
  explain: string | null;
  token: string | null;
  idempotencyKey: boolean;
}

/** One pass over the client's headers: deletes from `to` what must not go on, notes what later steps read. */
function dropUnwanted(from: Headers, to: Headers, isUpgrade: boolean): Special {
  const special: Special = {
    requestId: null,
    governance: null,
    cookie: null,
    explain: null,
    token: null,
    idempotencyKey: false,
  };
  for (const [name, value] of from) {
    switch (name) {
      case 'x-request-id':
        special.requestId = value;
        continue;
      case 'x-governance-session':
        special.governance = value;
        continue;
      case 'cookie':
        special.cookie = value;
        continue;
      case 'idempotency-key':
        special.idempotencyKey = true;
        continue;
      case 'x-acgs-explain':
        special.explain = value;
        break;
      case 'x-acgs-token':
        special.token = value;
        break;
      case 'connection':
        // Connection also names fields that are for this hop only.
        for (const listed of value.split(',')) deleteListed(to, listed.trim().toLowerCase());
        break;
      case 'upgrade':
        if (isUpgrade) continue;
        break;
      default:
        if (!name.startsWith('x-acgs-') && !HOP_BY_HOP.has(name)) continue;
    }
    to.delete(name);
  }
  return special;
}

/** `Connection: close, upgrade` and the like name no field; nor may a client have end-to-end fields dropped (RFC 9110 §7.6.1). */
const NEVER_LISTED: ReadonlySet<string> = new Set([
  '',
  'close',
  'host',
  'cookie',
  'authorization',
  'upgrade',
  'cache-control',
]);

function deleteListed(headers: Headers, name: string): void {
  if (!NEVER_LISTED.has(name) && /^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name)) headers.delete(name);
}

interface ProxyFields {
  client: string;
  host: string;
  proto: string;
  requestId: string;
}

/** Appended to what the client claims, never believed: the last entry is the one a reader may trust. */
function appendProxyFields(headers: Headers, { client, host, proto, requestId }: ProxyFields): void {
  const node = client.includes(':') ? `"[${client}]"` : client;
  headers.append('x-forwarded-for', client);
  headers.append('forwarded', `for=${node};host="${host}";proto=${proto}`);
  headers.append('via', '1.1 acgs-lb');
  headers.set('x-forwarded-proto', proto);
  headers.set('x-forwarded-host', host);
  headers.set('x-request-id', requestId);
}

/** A client's own request id is kept when it is short and plain: it ends up in logs. */
function usableId(id: string | null): string | null {
  return id !== null && /^[A-Za-z0-9._:/+=-]{1,128}$/.test(id) ? id : null;
}

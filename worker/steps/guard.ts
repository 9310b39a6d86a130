import { clientKey } from '../../shared/address.ts';
import { isHopByHop, withoutListed } from '../../shared/hop-by-hop.ts';
import { isIdempotent } from '../../shared/retry.ts';
import type { Edge } from '../edge.ts';
import { clientAddress } from './client-address.ts';

/**
 * Name and value. Lists of them rather than `Headers`: each call on one of those crosses into the runtime, which was
 * seen to cost more than the rest of the edge together.
 */
export type Field = [name: string, value: string];

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
  readonly fields: readonly Field[];
  /** The client has hung up: nobody is left to answer. */
  gone: boolean;
  /** What to abort when it does. */
  readonly running: AbortController[];
}

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
  const special = readFields(request.headers);
  const requestId = usableId(special.requestId) ?? edge.newRequestId();
  pushProxyFields(special.fields, { client: address.address, host, proto, requestId });
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
    isUpgrade: special.isUpgrade,
    governance: special.governance,
    cookie: special.cookie,
    explain: special.explain !== null && edge.mayExplain(special.token),
    fields: special.fields,
    gone: false,
    running: [],
  };
  return { ok: true, incoming };
}

/**
 * The runtime ends a request's work when its client hangs up, but not while something is left to do in the background.
 * To be called when there is: looking at the signal costs too much to do it for every request.
 */
export function watchClient(incoming: Incoming): void {
  incoming.request.signal.onabort = () => {
    incoming.gone = true;
    for (const controller of incoming.running) controller.abort();
  };
}

interface Special {
  /** What goes on. */
  fields: Field[];
  isUpgrade: boolean;
  requestId: string | null;
  governance: string | null;
  cookie: string | null;
  explain: string | null;
  token: string | null;
  idempotencyKey: boolean;
}

/** One pass over the client's headers: keeps what goes on, notes what later steps read. */
function readFields(headers: Headers): Special {
  const special: Special = {
    fields: [],
    isUpgrade: false,
    requestId: null,
    governance: null,
    cookie: null,
    explain: null,
    token: null,
    idempotencyKey: false,
  };
  let listed: string | null = null;
  for (const field of headers) {
    const [name, value] = field;
    switch (name) {
      case 'x-governance-session':
        special.governance = value;
        break;
      case 'cookie':
        special.cookie = value;
        break;
      case 'idempotency-key':
        special.idempotencyKey = true;
        break;
      case 'upgrade':
        special.isUpgrade = value.toLowerCase() === 'websocket';
        if (!special.isUpgrade) continue;
        break;
      case 'x-request-id':
        special.requestId = value;
        continue;
      case 'x-acgs-explain':
        special.explain = value;
        continue;
      case 'x-acgs-token':
        special.token = value;
        continue;
      case 'connection':
        listed = value;
        continue;
      // Set by this proxy: a client's word for them is not passed on.
      case 'x-forwarded-proto':
      case 'x-forwarded-host':
        continue;
      default:
        if (name.startsWith('x-acgs-') || isHopByHop(name)) continue;
    }
    special.fields.push(field as Field);
  }
  if (listed !== null) special.fields = withoutListed(special.fields, listed);
  return special;
}

interface ProxyFields {
  client: string;
  host: string;
  proto: string;
  requestId: string;
}

/** Appended to what the client claims, never believed: the last entry is the one a reader may trust. */
function pushProxyFields(fields: Field[], { client, host, proto, requestId }: ProxyFields): void {
  const node = client.includes(':') ? `"[${client}]"` : client;
  fields.push(
    ['x-forwarded-for', client],
    ['forwarded', `for=${node};host="${host}";proto=${proto}`],
    ['via', '1.1 acgs-lb'],
    ['x-forwarded-proto', proto],
    ['x-forwarded-host', host],
    ['x-request-id', requestId],
  );
}

/** A client's own request id is kept when it is short and plain: it ends up in logs. */
function usableId(id: string | null): string | null {
  return id !== null && /^[A-Za-z0-9._:/+=-]{1,128}$/.test(id) ? id : null;
}

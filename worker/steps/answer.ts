import { pinExpiry, withPin } from '../../shared/affinity/pins.ts';
import { hopByHopFields } from '../../shared/hop-by-hop.ts';
import type { ServiceView } from '../../shared/view.ts';
import type { Edge } from '../edge.ts';
import { problemResponse } from '../problem.ts';
import type { FailoverOutcome } from './fail-over.ts';
import type { IncomingRequest } from './guard.ts';
import type { LimitResult } from './limit.ts';
import type { AffinitySession } from './pin.ts';
import { servedCandidate } from './record-attempt.ts';

/** Name and value. */
export type ResponseHeader = readonly [name: string, value: string];

const SECURITY_HEADERS: readonly ResponseHeader[] = [
  ['x-content-type-options', 'nosniff'],
  ['x-frame-options', 'SAMEORIGIN'],
  ['referrer-policy', 'strict-origin-when-cross-origin'],
];
const TRANSPORT_SECURITY: ResponseHeader = ['strict-transport-security', 'max-age=31536000'];

/** Step 9. The upstream's answer, its body untouched, with what the edge has to say (`said`) in its headers. */
export function upstreamResponse(
  upstream: Response,
  outcome: FailoverOutcome,
  incoming: IncomingRequest,
  said: readonly ResponseHeader[],
  tookMs: number,
): Response {
  if (upstream.status > 599) return invalidStatus(upstream, incoming);
  const last = outcome.attempts.at(-1);
  const isDirect = last?.plan.route.kind === 'direct';
  const response = upstream.webSocket
    ? new Response(null, { status: 101, webSocket: upstream.webSocket, headers: upstream.headers })
    : new Response(upstream.body, upstream);
  const { headers } = response;
  const names = [...headers.keys()];
  const connection = names.includes('connection') ? headers.get('connection') : null;
  for (const name of hopByHopFields(names, connection)) headers.delete(name);
  const addMissing = ([name, value]: ResponseHeader): void => {
    if (!names.includes(name)) headers.set(name, value);
  };
  if (isDirect) {
    // Only a gateway of ours may speak in the edge's own names.
    for (const name of names) if (name.startsWith('x-acgs-')) headers.delete(name);
    if (last.servedBy) headers.set('x-acgs-instance', last.servedBy);
    // A gateway has set them already.
    SECURITY_HEADERS.forEach(addMissing);
  }
  if (incoming.proto === 'https') addMissing(TRANSPORT_SECURITY);
  headers.append('via', '1.1 acgs-lb');
  headers.set('x-request-id', incoming.requestId);
  if (last) headers.append('server-timing', `edge;dur=${tookMs - last.ms}, origin;dur=${last.ms}`);
  for (const [name, value] of said) headers.append(name, value);
  return response;
}

/** No Response of the runtime can have such a status. */
function invalidStatus(upstream: Response, incoming: IncomingRequest): Response {
  void upstream.body?.cancel();
  return problemResponse(
    { title: 'Bad Gateway', status: 502, detail: `The answer had status ${upstream.status}, which is none.` },
    { 'x-request-id': incoming.requestId },
  );
}

/** A kept answer, which the gateway or the instance gave to someone else. */
export function staleResponse(
  kept: Response,
  incoming: IncomingRequest,
  said: readonly ResponseHeader[],
): Response {
  const { headers } = kept;
  for (const [name, value] of SECURITY_HEADERS) if (!headers.has(name)) headers.set(name, value);
  headers.append('via', '1.1 acgs-lb');
  headers.set('x-request-id', incoming.requestId);
  for (const [name, value] of said) headers.append(name, value);
  return kept;
}

/** The affinity cookie: when the session is new, has moved, has used up half of its time, or was sealed with an old key. */
export function affinityCookie(
  outcome: FailoverOutcome,
  session: AffinitySession,
  service: ServiceView,
  incoming: IncomingRequest,
  edge: Edge,
): string | null | Promise<string | null> {
  if (session.by !== 'cookie' || !edge.affinityCookies.enabled || !outcome.picked) return null;
  const instance = servingInstance(outcome, service);
  if (!instance) return null;
  const { ttl } = service.policy.affinity;
  const now = incoming.startedAt;
  const { pins } = session;
  const isCurrent = pins?.instances[service.id] === instance && pins.expires - now > ttl / 2;
  if (isCurrent && !edge.affinityCookies.needsResealing(pins)) return null;
  const expires = Math.max(pinExpiry(now, ttl), pins?.expires ?? 0);
  return edge.affinityCookies.seal(
    withPin(pins, service.id, instance, expires),
    incoming.proto === 'https',
    now,
  );
}

/** HAProxy may have used another instance than asked for: the pin follows where the session's state now is. */
function servingInstance(
  { response: answer, attempts }: FailoverOutcome,
  service: ServiceView,
): string | null {
  const last = attempts.at(-1);
  if (!last || !answer || answer.status >= 500) return null;
  return servedCandidate(last, service)?.key ?? last.servedBy;
}

const QUOTA_EXCEEDED = 'https://iana.org/assignments/http-problem-types#quota-exceeded';

export function tooManyRequests(limited: LimitResult, incoming: IncomingRequest): Response {
  return problemResponse(
    {
      type: QUOTA_EXCEEDED,
      title: 'Too Many Requests',
      status: 429,
      detail: `Over the limit of ${limited.violated.join(', ')}; try again in ${limited.retryAfterSeconds} s.`,
      'violated-policies': limited.violated,
    },
    {
      ...(limited.fields && { ratelimit: limited.fields.limit, 'ratelimit-policy': limited.fields.policy }),
      'retry-after': String(limited.retryAfterSeconds),
      'x-request-id': incoming.requestId,
    },
  );
}

/** The runtime refuses to send such a request, and to leave the body out would ask for something else. */
export function bodyRefused(incoming: IncomingRequest): Response {
  return problemResponse(
    { title: 'Bad Request', status: 400, detail: `A ${incoming.method} request may not have a body here.` },
    { 'x-request-id': incoming.requestId },
  );
}

export function forbidden(incoming: IncomingRequest): Response {
  return problemResponse(
    { title: 'Forbidden', status: 403, detail: 'This path is not open to your network.' },
    { 'x-request-id': incoming.requestId },
  );
}

export function notFound(incoming: IncomingRequest): Response {
  return problemResponse(
    { title: 'Not Found', status: 404, detail: 'No service is configured for this path.' },
    { 'x-request-id': incoming.requestId },
  );
}

/** Nothing could be reached. Where the request may have been processed, the client is not told to come back. */
export function unavailable(outcome: FailoverOutcome, incoming: IncomingRequest): Response {
  const headers = { 'x-request-id': incoming.requestId };
  // Nobody reads it; 499 is what proxies log for a client that hung up.
  if (outcome.failure === 'gone') return new Response(null, { status: 499 });
  if (outcome.failure === 'broken') {
    return problemResponse(
      { title: 'Bad Request', status: 400, detail: 'The body ended before it was whole.' },
      headers,
    );
  }
  if (outcome.failure === 'slow') {
    return problemResponse(
      { title: 'Request Timeout', status: 408, detail: 'The body did not come in time.' },
      headers,
    );
  }
  const last = outcome.attempts.at(-1)?.result;
  if (outcome.failure === 'ambiguous') {
    const timedOut = last?.kind === 'timeout';
    return problemResponse(
      {
        title: timedOut ? 'Gateway Timeout' : 'Bad Gateway',
        status: timedOut ? 504 : 502,
        detail:
          'The request may have been processed and is not safe to repeat: send an Idempotency-Key to have it retried.',
      },
      headers,
    );
  }
  const detail =
    outcome.failure === 'shed'
      ? 'Too much is asked of this site: requests of this class are turned away for now.'
      : 'No instance of the service can answer now.';
  return problemResponse(
    { title: 'Service Unavailable', status: 503, detail },
    { ...headers, 'retry-after': '1' },
  );
}

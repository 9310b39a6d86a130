import { pinExpiry, withPin } from '../../shared/affinity/pins.ts';
import { hopByHopFields } from '../../shared/hop-by-hop.ts';
import { classifyAttempt } from '../../shared/retry.ts';
import { isSharedCacheable } from '../../shared/stale-cache.ts';
import type { RequestOutcome } from '../counters.ts';
import type { RequestContext } from '../request-context.ts';
import type { CompletedAttempt } from './attempt.ts';
import { failureResponse, invalidStatus } from './error-responses.ts';
import { explain } from './explain.ts';
import type { FailoverFailure, FailoverOutcome } from './failover-context.ts';
import type { IncomingRequest } from './guard.ts';
import { servedCandidate } from './record-attempt.ts';
import type { ClientResponse } from './record-request.ts';
import type { StepResults } from './step-results.ts';

type ResponseHeader = readonly [name: string, value: string];

/**
 * The response to the client: the upstream's; else, when the service is out, the last good one from the stale cache; else
 * an error.
 */
export async function answer(context: RequestContext, results: StepResults): Promise<ClientResponse> {
  const { incoming, service, edge, ctx } = context;
  const { outcome } = results;
  const { response: upstream, attempts } = outcome;
  const { staleIfError } = service.policy.failover;
  const ownHeaders = await responseHeaders(context, results);
  if (upstream && upstream.status < 500) {
    const stored = edge.staleCache.store(incoming, upstream, staleIfError, ctx);
    const response = upstreamResponse(stored, outcome, incoming, edge.now());
    return { response: withHeaders(response, ownHeaders), kind: 'answer' };
  }
  const stale =
    !upstream || isOutage(attempts.at(-1)) ? await edge.staleCache.find(incoming, staleIfError) : null;
  if (stale) {
    if (upstream?.body) await upstream.body.cancel();
    return { response: withHeaders(staleResponse(stale, incoming), ownHeaders), kind: 'stale' };
  }
  if (upstream) {
    const response = upstreamResponse(upstream, outcome, incoming, edge.now());
    return { response: withHeaders(response, ownHeaders), kind: 'answer' };
  }
  const failure = failureResponse(incoming, outcome.failure, attempts);
  return { response: withHeaders(failure, ownHeaders), kind: KIND_BY_FAILURE[outcome.failure] };
}

const isOutage = (last: CompletedAttempt | undefined): boolean =>
  last?.result.kind === 'response' && classifyAttempt(last.result) !== 'final';

const KIND_BY_FAILURE: Record<FailoverFailure, RequestOutcome['kind']> = {
  'no-instance': 'unavailable',
  exhausted: 'unavailable',
  ambiguous: 'unavailable',
  shed: 'shed',
  broken: 'answer',
  slow: 'answer',
  crowded: 'limited',
  gone: 'answer',
};

/** Headers that only the edge can add: rate limits, the affinity cookie, the trace. */
async function responseHeaders(context: RequestContext, results: StepResults): Promise<ResponseHeader[]> {
  const { limits } = results;
  const headers: ResponseHeader[] = [];
  if (limits.headers) {
    headers.push(['ratelimit', limits.headers.limit], ['ratelimit-policy', limits.headers.policy]);
  }
  const sealing = affinityCookie(context, results);
  const cookie = sealing instanceof Promise ? await sealing : sealing;
  if (cookie !== null) headers.push(['set-cookie', cookie]);
  if (context.incoming.explainRequested) headers.push(['x-acgs-trace', explain(context, results)]);
  return headers;
}

/** A Set-Cookie value when the session is new, has moved, is past half of its ttl, or was sealed with an old key. */
function affinityCookie(
  { incoming, service, edge }: RequestContext,
  { session, outcome }: StepResults,
): string | null | Promise<string | null> {
  if (session.by !== 'cookie' || !edge.affinityCookies.enabled || !outcome.picked) return null;
  // A shared cache would give the cookie to other clients. The next other response carries it.
  if (outcome.response && isSharedCacheable(outcome.response.headers, edge.now())) return null;
  const instance = servingInstance(outcome);
  if (!instance) return null;
  const { ttl } = service.policy.affinity;
  const now = incoming.startedAt;
  const { pins } = session;
  const isCurrent = pins?.instances[service.id] === instance && pins.expires - now > ttl / 2;
  if (isCurrent && !edge.affinityCookies.needsResealing(pins)) return null;
  const expires = Math.max(pinExpiry(now, ttl), pins?.expires ?? 0);
  const newPins = withPin(pins, service.id, instance, expires);
  return edge.affinityCookies.seal(newPins, incoming.proto === 'https', now);
}

/** HAProxy may have used another instance than the edge named. The pin follows the session's state. */
function servingInstance({ response, attempts }: FailoverOutcome): string | null {
  const last = attempts.at(-1);
  if (!last || !response || response.status >= 500) return null;
  return servedCandidate(last)?.key ?? last.servedBy;
}

const SECURITY_HEADERS: readonly ResponseHeader[] = [
  ['x-content-type-options', 'nosniff'],
  ['x-frame-options', 'SAMEORIGIN'],
  ['referrer-policy', 'strict-origin-when-cross-origin'],
];
const TRANSPORT_SECURITY: ResponseHeader = ['strict-transport-security', 'max-age=31536000'];

/** The runtime can make such a response. A 101 without a WebSocket is a response that the client did not request. */
const isValidStatus = ({ status, webSocket }: Response): boolean =>
  webSocket ? status === 101 : status >= 200 && status <= 599;

/** The upstream's response with its body untouched, and the headers that every proxied response has. */
export function upstreamResponse(
  upstream: Response,
  { attempts, hedges }: Pick<FailoverOutcome, 'attempts' | 'hedges'>,
  incoming: IncomingRequest,
  now: number,
): Response {
  if (!isValidStatus(upstream)) {
    void upstream.body?.cancel();
    return invalidStatus(incoming, upstream.status);
  }
  const last = attempts.at(-1);
  const response = upstream.webSocket
    ? new Response(null, { status: 101, webSocket: upstream.webSocket, headers: upstream.headers })
    : new Response(upstream.body, upstream);
  const { headers } = response;
  const names = [...headers.keys()];
  const connection = names.includes('connection') ? headers.get('connection') : null;
  for (const name of hopByHopFields(names, connection)) headers.delete(name);
  const setIfMissing = ([name, value]: ResponseHeader): void => {
    if (!names.includes(name)) headers.set(name, value);
  };
  // A gateway is trusted with `x-acgs-*` headers and sets the security headers itself; an instance is not and does not.
  if (last?.plan.route.kind === 'direct') {
    for (const name of names) if (name.startsWith('x-acgs-')) headers.delete(name);
    if (last.servedBy) headers.set('x-acgs-instance', last.servedBy);
    SECURITY_HEADERS.forEach(setIfMissing);
  }
  if (incoming.proto === 'https') setIfMissing(TRANSPORT_SECURITY);
  headers.append('via', '1.1 acgs-lb');
  headers.set('x-request-id', incoming.requestId);
  if (last) headers.append('server-timing', serverTiming(now - incoming.startedAt, last.ms, hedges));
  return response;
}

/** How long the edge and the upstream took, in milliseconds, and how many copies of the request were sent. */
function serverTiming(totalMs: number, originMs: number, hedges: number): string {
  const hedged = hedges > 0 ? `, hedge;desc="${hedges}"` : '';
  return `edge;dur=${totalMs - originMs}, origin;dur=${originMs}${hedged}`;
}

function staleResponse(stale: Response, incoming: IncomingRequest): Response {
  const { headers } = stale;
  for (const [name, value] of SECURITY_HEADERS) if (!headers.has(name)) headers.set(name, value);
  headers.append('via', '1.1 acgs-lb');
  headers.set('x-request-id', incoming.requestId);
  return stale;
}

function withHeaders(response: Response, headers: readonly ResponseHeader[]): Response {
  for (const [name, value] of headers) response.headers.append(name, value);
  return response;
}

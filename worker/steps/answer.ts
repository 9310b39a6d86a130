import { pinExpiry, withPin } from '../../shared/affinity/pins.ts';
import { hopByHopFields } from '../../shared/hop-by-hop.ts';
import { classifyAttempt } from '../../shared/retry.ts';
import type { SnapshotHeaders } from '../../shared/snapshot/snapshot.ts';
import { isPrivate, isSharedCacheable } from '../../shared/stale-cache.ts';
import type { RequestOutcome } from '../counters.ts';
import type { IncomingRequest } from '../incoming-request.ts';
import type { RequestContext } from '../request-context.ts';
import { type CompletedAttempt, statusOf } from './attempt.ts';
import { failureResponse, invalidStatus } from './error-responses.ts';
import { explain } from './explain.ts';
import type { FailoverFailure, FailoverOutcome } from './failover-context.ts';
import { servedCandidate } from './record-attempt.ts';
import type { ClientResponse } from './record-request.ts';
import type { StepResults } from './step-results.ts';

type ResponseHeader = readonly [name: string, value: string];

/**
 * The response to the client: the upstream's; else, when the service is out, the last good one from the stale cache;
 * else an error.
 */
export function answer(
  context: RequestContext,
  results: StepResults,
): ClientResponse | Promise<ClientResponse> {
  const added = responseHeaders(context, results);
  const { response, attempts } = results.outcome;
  const isGood = response !== null && (statusOf(attempts.at(-1)) ?? 500) < 500;
  if (isGood && !(added instanceof Promise)) return passOn(response, context, { ...results, added });
  return answerLater(context, results, added);
}

/** The response when it must wait for a sealed cookie or for the stale cache. */
async function answerLater(
  context: RequestContext,
  results: StepResults,
  gathering: readonly ResponseHeader[] | Promise<readonly ResponseHeader[]>,
): Promise<ClientResponse> {
  const { incoming, service, edge } = context;
  const { outcome } = results;
  const { response: upstream, attempts } = outcome;
  const added = await gathering;
  if (upstream && upstream.status < 500) return passOn(upstream, context, { ...results, added });
  const stale =
    !upstream || isOutage(attempts.at(-1))
      ? await edge.staleCache.find(incoming, service.policy.failover.staleIfError)
      : null;
  const own = [...rateLimitHeaders(incoming), ...added];
  if (stale) {
    if (upstream?.body) await upstream.body.cancel();
    return { response: withHeaders(staleResponse(stale, context), own), kind: 'stale' };
  }
  if (upstream) return passOn(upstream, context, { ...results, added });
  const failure = failureResponse(incoming, outcome.failure, attempts);
  return { response: withHeaders(failure, own), kind: KIND_BY_FAILURE[outcome.failure] };
}

/** The upstream's response. Stores a good one for later outages of the service. */
function passOn(
  upstream: Response,
  { incoming, service, edge, ctx }: RequestContext,
  { outcome, added }: StepResults & { added: readonly ResponseHeader[] },
): ClientResponse {
  const { staleIfError } = service.policy.failover;
  const stored = edge.staleCache.store(incoming, upstream, staleIfError, ctx);
  const options = { incoming, headers: service.headers, added };
  return { response: upstreamResponse(stored, outcome, options), kind: 'answer' };
}

const isOutage = (last: CompletedAttempt | undefined): boolean =>
  last?.result.kind === 'response' && classifyAttempt(last.result) !== 'final';

const KIND_BY_FAILURE: Record<FailoverFailure, RequestOutcome['kind']> = {
  'no-instance': 'unavailable',
  exhausted: 'unavailable',
  full: 'unavailable',
  ambiguous: 'unavailable',
  shed: 'shed',
  'not-cached': 'answer',
  broken: 'answer',
  slow: 'answer',
  crowded: 'limited',
  gone: 'answer',
};

/** Headers that only the edge can add, because they depend on the answer: the affinity cookie, timing, the trace. */
function responseHeaders(
  context: RequestContext,
  results: StepResults,
): readonly ResponseHeader[] | Promise<readonly ResponseHeader[]> {
  const sealing = affinityCookie(context, results);
  if (sealing instanceof Promise) return sealing.then((cookie) => withDiagnostics(cookie, context, results));
  return withDiagnostics(sealing, context, results);
}

function withDiagnostics(
  cookie: string | null,
  context: RequestContext,
  results: StepResults,
): readonly ResponseHeader[] {
  const { incoming, service, edge } = context;
  const { attempts, hedges } = results.outcome;
  const last = attempts.at(-1);
  if (cookie === null && !service.headers.serverTiming && !incoming.explainRequested) return NONE;
  const headers: ResponseHeader[] = [];
  if (cookie !== null) headers.push(...cookieHeaders(cookie, results.outcome.response));
  if (service.headers.serverTiming && last) {
    headers.push(['server-timing', serverTiming(edge.now() - incoming.startedAt, last.ms, hedges)]);
  }
  if (incoming.explainRequested) headers.push(['x-acgs-trace', explain(context, results)]);
  return headers;
}

const NONE: readonly ResponseHeader[] = [];

/** A response with the cookie of one client is private, because a cache may keep it even without `Cache-Control`. */
const cookieHeaders = (cookie: string, response: Response | null): ResponseHeader[] => {
  const headers: ResponseHeader[] = [['set-cookie', cookie]];
  if (response && !isPrivate(response.headers)) headers.push(['cache-control', 'private']);
  return headers;
};

/** A gateway that trusts the edge sets these itself, by the envelope. */
function rateLimitHeaders({ rateLimitFields }: IncomingRequest): readonly ResponseHeader[] {
  if (!rateLimitFields) return NONE;
  return [
    ['ratelimit', rateLimitFields.limit],
    ['ratelimit-policy', rateLimitFields.policy],
  ];
}

/** A Set-Cookie value when the session is new, has moved, is past half of its ttl, or was sealed with an old key. */
function affinityCookie(
  { incoming, service, edge }: RequestContext,
  { session, outcome }: StepResults,
): string | null | Promise<string | null> {
  if (session.by !== 'cookie' || !edge.affinityCookies.enabled || !outcome.picked) return null;
  const instance = servingInstance(outcome);
  if (!instance) return null;
  const { ttl } = service.policy.affinity;
  const now = incoming.startedAt;
  const { pins } = session;
  const isCurrent = pins?.instances[service.id] === instance && pins.expires - now > ttl / 2;
  if (isCurrent && !edge.affinityCookies.needsResealing(pins)) return null;
  // A shared cache would give the cookie to other clients. The next other response carries it.
  if (outcome.response && isSharedCacheable(outcome.response.headers, edge.now())) return null;
  const expires = Math.max(pinExpiry(now, ttl), pins?.expires ?? 0);
  const newPins = withPin(pins, service.id, instance, expires);
  return edge.affinityCookies.seal(newPins, incoming.proto === 'https', now);
}

/** HAProxy may have used another instance than the edge named. The pin follows the session's state. */
function servingInstance({ response, attempts }: FailoverOutcome): string | null {
  const last = attempts.at(-1);
  if (!last || !response || (statusOf(last) ?? 500) >= 500) return null;
  return servedCandidate(last)?.key ?? last.servedBy;
}

const SECURITY_HEADERS: readonly ResponseHeader[] = [
  ['x-content-type-options', 'nosniff'],
  ['x-frame-options', 'SAMEORIGIN'],
  ['referrer-policy', 'strict-origin-when-cross-origin'],
];
const TRANSPORT_SECURITY: ResponseHeader = ['strict-transport-security', 'max-age=31536000'];

/** The runtime can make such a response. A 101 without a WebSocket is a response that the client did not request. */
const isValidStatus = (status: number, upstream: Response): boolean =>
  status === 101 ? upstream.webSocket !== null : status >= 200 && status <= 599;

interface ResponseOptions {
  readonly incoming: IncomingRequest;
  readonly headers: SnapshotHeaders;
  /** Headers to add. */
  readonly added: readonly ResponseHeader[];
}

/**
 * The upstream's response with its body untouched, and the headers that every proxied response has. A gateway that
 * trusts the edge has set them, so its response is usually returned as it came: a copy costs 6 % of the edge's
 * throughput, and each header 2 %.
 */
export function upstreamResponse(
  upstream: Response,
  { attempts }: Pick<FailoverOutcome, 'attempts'>,
  options: ResponseOptions,
): Response {
  const { incoming, added } = options;
  const last = attempts.at(-1);
  const status = statusOf(last) ?? upstream.status;
  if (!isValidStatus(status, upstream)) {
    void upstream.body?.cancel();
    return invalidStatus(incoming, status);
  }
  const enveloped = last !== undefined && last.plan.token !== null;
  if (enveloped && added.length === 0) return upstream;
  const response =
    status === 101
      ? new Response(null, { status: 101, webSocket: upstream.webSocket, headers: upstream.headers })
      : new Response(upstream.body, upstream);
  if (!enveloped) setProxyHeaders(response.headers, last, options);
  return withHeaders(response, added);
}

function setProxyHeaders(
  headers: Headers,
  last: CompletedAttempt | undefined,
  { incoming, headers: wanted }: ResponseOptions,
): void {
  const names = [...headers.keys()];
  const connection = names.includes('connection') ? headers.get('connection') : null;
  for (const name of hopByHopFields(names, connection)) headers.delete(name);
  const setIfMissing = ([name, value]: ResponseHeader): void => {
    if (!names.includes(name)) headers.set(name, value);
  };
  // A gateway may set `x-acgs-*` headers, and sets the security headers itself; an instance may not and does not.
  if (last?.plan.route.kind === 'direct') {
    for (const name of names) if (name.startsWith('x-acgs-')) headers.delete(name);
    if (last.servedBy) headers.set('x-acgs-instance', last.servedBy);
    if (wanted.security) SECURITY_HEADERS.forEach(setIfMissing);
  }
  if (wanted.security && incoming.proto === 'https') setIfMissing(TRANSPORT_SECURITY);
  headers.set('x-request-id', incoming.requestId);
  for (const [name, value] of rateLimitHeaders(incoming)) headers.append(name, value);
}

/** How long the edge and the upstream took, in milliseconds, and how many copies of the request were sent. */
function serverTiming(totalMs: number, originMs: number, hedges: number): string {
  const hedged = hedges > 0 ? `, hedge;desc="${hedges}"` : '';
  return `edge;dur=${totalMs - originMs}, origin;dur=${originMs}${hedged}`;
}

function staleResponse(stale: Response, { incoming, service }: RequestContext): Response {
  const { headers } = stale;
  if (service.headers.security) {
    for (const [name, value] of SECURITY_HEADERS) if (!headers.has(name)) headers.set(name, value);
  }
  headers.set('x-request-id', incoming.requestId);
  return stale;
}

function withHeaders(response: Response, headers: readonly ResponseHeader[]): Response {
  for (const [name, value] of headers) response.headers.append(name, value);
  return response;
}

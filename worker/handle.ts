import { FAILOVER_RULES } from '../shared/failover.ts';
import { parseRequestUrl } from '../shared/request-url.ts';
import { isGatewayUnreachable } from '../shared/retry.ts';
import type { ServiceView, View } from '../shared/view.ts';
import { adminEndpoint } from './admin-endpoints.ts';
import type { RequestOutcome } from './counters.ts';
import type { Edge } from './edge.ts';
import { problemResponse } from './problem.ts';
import {
  affinityCookie,
  bodyRefused,
  forbidden,
  notFound,
  type ResponseHeader,
  staleResponse,
  tooManyRequests,
  unavailable,
  upstreamResponse,
} from './steps/answer.ts';
import { explain } from './steps/explain.ts';
import { type FailoverOutcome, failOver } from './steps/fail-over.ts';
import { sendToFallback } from './steps/fallback.ts';
import { guard, type IncomingRequest, watchClientDisconnect } from './steps/guard.ts';
import { applyLimits, type LimitResult } from './steps/limit.ts';
import { type AffinitySession, findPin } from './steps/pin.ts';

/** One request, step by step. */
export async function handle(request: Request, edge: Edge, ctx: ExecutionContext): Promise<Response> {
  const url = parseRequestUrl(request.url);
  if (!url)
    return problemResponse({
      title: 'Bad Request',
      status: 400,
      detail: 'What is asked for must be a path.',
    });
  const own = adminEndpoint(url, request, edge, ctx);
  if (own) return own;

  const guarded = guard(url, request, edge, edge.now());
  if (!guarded.ok) return problemResponse({ title: 'Misconfigured edge', status: 500, detail: guarded.why });
  const { incoming } = guarded;
  edge.clockGuard.observe(incoming.startedAt, edge);
  if (hasForbiddenBody(incoming)) return bodyRefused(incoming);

  const loading = currentView(edge, ctx, incoming);
  const view = loading instanceof Promise ? await loading : loading;
  if (!view) return sendToFallback(incoming, edge);

  const service = view.route(hostOnly(incoming.host), incoming.path);
  if (!service) return notFound(incoming);
  if (!service.access(incoming.path, incoming.clientAddress).allowed) {
    return reject('forbidden', forbidden(incoming), incoming, service, edge, ctx);
  }

  const limiting = applyLimits(incoming, service, edge, ctx);
  const limited = limiting instanceof Promise ? await limiting : limiting;
  if (limited.violated.length > 0) {
    return reject('limited', tooManyRequests(limited, incoming), incoming, service, edge, ctx);
  }

  const found = findPin(incoming, service, view, edge, incoming.startedAt);
  const session = found instanceof Promise ? await found : found;
  const outcome = shouldShed(service, edge, incoming.startedAt)
    ? SHED_OUTCOME
    : await failOver(incoming, service, session, edge);

  const said = await responseHeaders(incoming, service, session, limited, outcome, edge);
  const { response, kind } = await buildResponse(outcome, incoming, service, said, edge, ctx);
  recordRequest(incoming, service, outcome, { status: response.status, kind }, edge, ctx);
  return response;
}

const hasForbiddenBody = ({ method, request }: IncomingRequest): boolean =>
  (method === 'GET' || method === 'HEAD') &&
  request.body !== null &&
  request.headers.get('content-length') !== '0';

/** What the edge itself adds to an answer. */
async function responseHeaders(
  incoming: IncomingRequest,
  service: ServiceView,
  session: AffinitySession,
  limited: LimitResult,
  outcome: FailoverOutcome,
  edge: Edge,
): Promise<ResponseHeader[]> {
  const said: ResponseHeader[] = [];
  if (limited.fields) {
    said.push(['ratelimit', limited.fields.limit], ['ratelimit-policy', limited.fields.policy]);
  }
  const cookie = affinityCookie(outcome, session, service, incoming, edge);
  if (cookie !== null) {
    const value = typeof cookie === 'string' ? cookie : await cookie;
    if (value !== null) said.push(['set-cookie', value]);
  }
  if (incoming.explainRequested) {
    said.push(['x-acgs-trace', explain(incoming, service, session, limited, outcome, edge)]);
  }
  return said;
}

/** From memory; older than a second, it is checked behind this request's back. Only a cold isolate waits. */
function currentView(
  edge: Edge,
  ctx: ExecutionContext,
  incoming: IncomingRequest,
): View | null | Promise<View | null> {
  const { snapshots } = edge;
  if (snapshots.view) {
    if (snapshots.isRefreshDue(incoming.startedAt)) {
      ctx.waitUntil(snapshots.refresh());
      watchClientDisconnect(incoming);
    }
    return snapshots.view;
  }
  // Every cold request asks for itself: what it waits for must not end with another's client.
  return snapshots.refresh().then(() => snapshots.view);
}

const SHED_OUTCOME: FailoverOutcome = { attempts: [], picked: null, response: null, failure: 'shed' };

function shouldShed(service: ServiceView, edge: Edge, now: number): boolean {
  const { failover } = service.policy;
  return (
    FAILOVER_RULES[failover.strategy].shed &&
    edge.random() < edge.throttle.rejectProbability(failover.class, now)
  );
}

function withHeaders(response: Response, fields: readonly ResponseHeader[]): Response {
  for (const [name, value] of fields) response.headers.append(name, value);
  return response;
}

const isUnavailable = (status: number): boolean =>
  status === 502 || status === 503 || status === 504 || isGatewayUnreachable(status);

const OUTCOME_BY_FAILURE: Record<NonNullable<FailoverOutcome['failure']>, RequestOutcome['kind']> = {
  'no-instance': 'unavailable',
  exhausted: 'unavailable',
  ambiguous: 'unavailable',
  shed: 'shed',
  broken: 'answer',
  slow: 'answer',
  gone: 'answer',
};

interface ClientResponse {
  response: Response;
  kind: RequestOutcome['kind'];
}

async function buildResponse(
  outcome: FailoverOutcome,
  incoming: IncomingRequest,
  service: ServiceView,
  said: readonly ResponseHeader[],
  edge: Edge,
  ctx: ExecutionContext,
): Promise<ClientResponse> {
  const { staleIfError } = service.policy.failover;
  const { response: upstream } = outcome;
  if (upstream && upstream.status < 500) {
    const kept = edge.staleCache.store(incoming, upstream, staleIfError, ctx);
    return {
      response: upstreamResponse(kept, outcome, incoming, said, edge.now() - incoming.startedAt),
      kind: 'answer',
    };
  }
  const isOutage = !upstream || isUnavailable(upstream.status);
  const stale = isOutage ? await edge.staleCache.find(incoming, staleIfError) : null;
  if (stale) {
    if (upstream?.body) await upstream.body.cancel();
    return { response: staleResponse(stale, incoming, said), kind: 'stale' };
  }
  if (upstream) {
    return {
      response: upstreamResponse(upstream, outcome, incoming, said, edge.now() - incoming.startedAt),
      kind: 'answer',
    };
  }
  return {
    response: withHeaders(unavailable(outcome, incoming), said),
    kind: OUTCOME_BY_FAILURE[outcome.failure ?? 'exhausted'],
  };
}

/** A request no instance had to do with: counted like any other. */
function reject(
  kind: 'forbidden' | 'limited',
  response: Response,
  incoming: IncomingRequest,
  service: ServiceView,
  edge: Edge,
  ctx: ExecutionContext,
): Response {
  recordRequest(incoming, service, { attempts: [] }, { status: response.status, kind }, edge, ctx);
  return response;
}

/** Step 10: counts the request, logs it perhaps, and sends a report when one is due. */
function recordRequest(
  incoming: IncomingRequest,
  service: ServiceView,
  { attempts }: Pick<FailoverOutcome, 'attempts'>,
  { status, kind }: { status: number; kind: RequestOutcome['kind'] },
  edge: Edge,
  ctx: ExecutionContext,
): void {
  const first = attempts[0]?.plan.candidate;
  const last = attempts.at(-1);
  const ending: RequestOutcome = {
    status,
    kind,
    attempts: attempts.length,
    moved:
      attempts.length > 1 && (last?.servedBy !== first?.id || last?.plan.candidate?.site !== first?.site),
    ms: edge.now() - incoming.startedAt,
  };
  edge.counters.countRequest(service.id, ending);
  edge.requestLog.log(incoming, service.id, last?.servedBy ?? null, ending, edge.random);
  edge.reporter.flushIfDue(edge, ctx);
}

/** Without port; the runtime has lower-cased it. */
function hostOnly(host: string): string {
  const colon = host.lastIndexOf(':');
  return colon < 0 || host.endsWith(']') ? host : host.slice(0, colon);
}

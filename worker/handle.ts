import { FAILOVER } from '../shared/failover.ts';
import { readUrl } from '../shared/request-url.ts';
import { isGatewayUnreachable } from '../shared/retry.ts';
import type { ServiceView, View } from '../shared/view.ts';
import type { Ending } from './counters.ts';
import type { Edge } from './edge.ts';
import { ownEndpoint } from './own-endpoints.ts';
import { problem } from './problem.ts';
import {
  answer,
  bodyRefused,
  cookieFor,
  type Field,
  forbidden,
  notFound,
  staleAnswer,
  tooManyRequests,
  unavailable,
} from './steps/answer.ts';
import { explain } from './steps/explain.ts';
import { failOver, type Outcome } from './steps/fail-over.ts';
import { guard, type Incoming, watchClient } from './steps/guard.ts';
import { applyLimits, type Limited } from './steps/limit.ts';
import { findPin, type Session } from './steps/pin.ts';
import { untargeted } from './steps/untargeted.ts';

/** One request, step by step. */
export async function handle(request: Request, edge: Edge, ctx: ExecutionContext): Promise<Response> {
  const url = readUrl(request.url);
  if (!url)
    return problem({ title: 'Bad Request', status: 400, detail: 'What is asked for must be a path.' });
  const own = ownEndpoint(url, request, edge, ctx);
  if (own) return own;

  const guarded = guard(url, request, edge, edge.now());
  if (!guarded.ok) return problem({ title: 'Misconfigured edge', status: 500, detail: guarded.why });
  const { incoming } = guarded;
  edge.clock.saw(incoming.startedAt, edge);
  if (hasBodyItMayNot(incoming)) return bodyRefused(incoming);

  const loading = currentView(edge, ctx, incoming);
  const view = loading instanceof Promise ? await loading : loading;
  if (!view) return untargeted(incoming, edge);

  const service = view.route(hostOnly(incoming.host), incoming.path);
  if (!service) return notFound(incoming);
  if (!service.access(incoming.path, incoming.client).allowed) {
    return turnedAway('forbidden', forbidden(incoming), incoming, service, edge, ctx);
  }

  const limiting = applyLimits(incoming, service, edge, ctx);
  const limited = limiting instanceof Promise ? await limiting : limiting;
  if (limited.violated.length > 0) {
    return turnedAway('limited', tooManyRequests(limited, incoming), incoming, service, edge, ctx);
  }

  const found = findPin(incoming, service, view, edge, incoming.startedAt);
  const session = found instanceof Promise ? await found : found;
  const outcome = isShed(service, edge, incoming.startedAt)
    ? SHED
    : await failOver(incoming, service, session, edge);

  const said = await sayings(incoming, service, session, limited, outcome, edge);
  const { response, kind } = await answerOf(outcome, incoming, service, said, edge, ctx);
  finish(incoming, service, outcome, { status: response.status, kind }, edge, ctx);
  return response;
}

const hasBodyItMayNot = ({ method, request }: Incoming): boolean =>
  (method === 'GET' || method === 'HEAD') &&
  request.body !== null &&
  request.headers.get('content-length') !== '0';

/** What the edge itself adds to an answer. */
async function sayings(
  incoming: Incoming,
  service: ServiceView,
  session: Session,
  limited: Limited,
  outcome: Outcome,
  edge: Edge,
): Promise<Field[]> {
  const said: Field[] = [];
  if (limited.fields) {
    said.push(['ratelimit', limited.fields.limit], ['ratelimit-policy', limited.fields.policy]);
  }
  const cookie = cookieFor(outcome, session, service, incoming, edge);
  if (cookie !== null) {
    const value = typeof cookie === 'string' ? cookie : await cookie;
    if (value !== null) said.push(['set-cookie', value]);
  }
  if (incoming.explain) {
    said.push(['x-acgs-trace', explain(incoming, service, session, limited, outcome, edge)]);
  }
  return said;
}

/** From memory; older than a second, it is checked behind this request's back. Only a cold isolate waits. */
function currentView(
  edge: Edge,
  ctx: ExecutionContext,
  incoming: Incoming,
): View | null | Promise<View | null> {
  const { snapshots } = edge;
  if (snapshots.view) {
    if (snapshots.isCheckDue(incoming.startedAt)) {
      ctx.waitUntil(snapshots.check());
      watchClient(incoming);
    }
    return snapshots.view;
  }
  // Every cold request asks for itself: what it waits for must not end with another's client.
  return snapshots.check().then(() => snapshots.view);
}

const SHED: Outcome = { attempts: [], picked: null, answer: null, failure: 'shed' };

function isShed(service: ServiceView, edge: Edge, now: number): boolean {
  const { failover } = service.policy;
  return (
    FAILOVER[failover.strategy].shed && edge.random() < edge.throttle.rejectProbability(failover.class, now)
  );
}

function withFields(response: Response, fields: readonly Field[]): Response {
  for (const [name, value] of fields) response.headers.append(name, value);
  return response;
}

const isUnavailable = (status: number): boolean =>
  status === 502 || status === 503 || status === 504 || isGatewayUnreachable(status);

const KIND: Record<NonNullable<Outcome['failure']>, Ending['kind']> = {
  'no-instance': 'unavailable',
  exhausted: 'unavailable',
  ambiguous: 'unavailable',
  shed: 'shed',
  broken: 'answer',
  slow: 'answer',
  gone: 'answer',
};

interface Answered {
  response: Response;
  kind: Ending['kind'];
}

async function answerOf(
  outcome: Outcome,
  incoming: Incoming,
  service: ServiceView,
  said: readonly Field[],
  edge: Edge,
  ctx: ExecutionContext,
): Promise<Answered> {
  const { staleIfError } = service.policy.failover;
  const { answer: upstream } = outcome;
  if (upstream && upstream.status < 500) {
    const kept = edge.stale.keep(incoming, upstream, staleIfError, ctx);
    return {
      response: answer(kept, outcome, incoming, said, edge.now() - incoming.startedAt),
      kind: 'answer',
    };
  }
  const isOutage = !upstream || isUnavailable(upstream.status);
  const stale = isOutage ? await edge.stale.find(incoming, staleIfError) : null;
  if (stale) {
    if (upstream?.body) await upstream.body.cancel();
    return { response: staleAnswer(stale, incoming, said), kind: 'stale' };
  }
  if (upstream) {
    return {
      response: answer(upstream, outcome, incoming, said, edge.now() - incoming.startedAt),
      kind: 'answer',
    };
  }
  return {
    response: withFields(unavailable(outcome, incoming), said),
    kind: KIND[outcome.failure ?? 'exhausted'],
  };
}

/** A request no instance had to do with: counted like any other. */
function turnedAway(
  kind: 'forbidden' | 'limited',
  response: Response,
  incoming: Incoming,
  service: ServiceView,
  edge: Edge,
  ctx: ExecutionContext,
): Response {
  finish(incoming, service, { attempts: [] }, { status: response.status, kind }, edge, ctx);
  return response;
}

/** Step 10: counts the request, logs it perhaps, and sends a report when one is due. */
function finish(
  incoming: Incoming,
  service: ServiceView,
  { attempts }: Pick<Outcome, 'attempts'>,
  { status, kind }: { status: number; kind: Ending['kind'] },
  edge: Edge,
  ctx: ExecutionContext,
): void {
  const first = attempts[0]?.plan.candidate;
  const last = attempts.at(-1);
  const ending: Ending = {
    status,
    kind,
    attempts: attempts.length,
    moved:
      attempts.length > 1 && (last?.servedBy !== first?.id || last?.plan.candidate?.site !== first?.site),
    ms: edge.now() - incoming.startedAt,
  };
  edge.counters.ended(service.id, ending);
  edge.log.ended(incoming, service.id, last?.servedBy ?? null, ending, edge.random);
  edge.reporter.flushIfDue(edge, ctx);
}

/** Without port; the runtime has lower-cased it. */
function hostOnly(host: string): string {
  const colon = host.lastIndexOf(':');
  return colon < 0 || host.endsWith(']') ? host : host.slice(0, colon);
}

import type { RequestOutcome } from '../counters.ts';
import type { Edge } from '../edge.ts';
import type { IncomingRequest } from '../incoming-request.ts';
import type { RequestContext } from '../request-context.ts';
import { type CompletedAttempt, statusOf } from './attempt.ts';
import { describeRequest } from './describe-request.ts';
import { notFound } from './error-responses.ts';
import type { FailoverOutcome } from './failover-context.ts';
import { servedCandidate } from './record-attempt.ts';

const NOT_SENT: SentRequest = { attempts: [], cancelled: [], hedges: 0, picked: null };

type SentRequest = Pick<FailoverOutcome, 'attempts' | 'cancelled' | 'hedges' | 'picked'>;

export interface ClientResponse {
  readonly response: Response;
  readonly kind: RequestOutcome['kind'];
  /** The rate limits that rejected the request. */
  readonly limitedBy?: readonly string[];
}

/** Counts and logs the request, and sends an edge report when one is due. Returns the response. */
export function recordRequest(
  { incoming, service, edge, ctx }: RequestContext,
  { response, kind, limitedBy = [] }: ClientResponse,
  sent: SentRequest = NOT_SENT,
): Response {
  const { attempts, hedges } = sent;
  const [first] = attempts;
  const last = attempts.at(-1);
  const now = edge.now();
  const isUpstreams = last !== undefined && response === last.response;
  const outcome: RequestOutcome = {
    status: (isUpstreams ? statusOf(last) : null) ?? response.status,
    kind,
    attempts: attempts.length,
    hedges,
    moved: first !== undefined && last !== undefined && first !== last && !isSameInstance(first, last),
    ms: now - incoming.startedAt,
    ...(incoming.longLived && { longLived: true }),
  };
  edge.counters.countRequest(service.id, last?.plan.site?.site ?? null, outcome);
  const traced = edge.counters.traces.admit(outcome, incoming.trace.flags);
  if (traced) {
    const trace = describeRequest(incoming, { service: service.id, outcome, limitedBy, sent });
    edge.counters.traces.add(last?.plan.site?.site ?? '', trace);
  }
  edge.requestLog.log({
    incoming,
    service: service.id,
    instance: last?.servedBy ?? null,
    outcome,
  });
  edge.reporter.flushIfDue(edge, ctx, now);
  return response;
}

/** A request that no service serves is not counted, but it can be traced. */
export function recordUnrouted(incoming: IncomingRequest, edge: Edge, ctx: ExecutionContext): Response {
  const response = notFound(incoming);
  const outcome = {
    status: response.status,
    kind: 'unrouted',
    attempts: 0,
    ms: edge.now() - incoming.startedAt,
  } as const;
  if (edge.counters.traces.admit(outcome, incoming.trace.flags)) {
    const trace = describeRequest(incoming, { service: '', outcome, limitedBy: [], sent: NOT_SENT });
    edge.counters.traces.add('', trace);
  }
  edge.reporter.flushIfDue(edge, ctx, edge.now());
  return response;
}

/**
 * When the instance of an attempt is unknown (the gateway failed, or its instance did not answer), count it as another
 * one.
 */
function isSameInstance(a: CompletedAttempt, b: CompletedAttempt): boolean {
  const candidate = servedCandidate(a);
  return candidate !== null && candidate === servedCandidate(b);
}

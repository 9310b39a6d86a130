import type { RequestOutcome } from '../counters.ts';
import type { RequestContext } from '../request-context.ts';
import type { CompletedAttempt } from './attempt.ts';
import type { FailoverOutcome } from './failover-context.ts';
import { servedCandidate } from './record-attempt.ts';

const NOT_SENT = { attempts: [], hedges: 0 };

export interface ClientResponse {
  readonly response: Response;
  readonly kind: RequestOutcome['kind'];
}

/** Counts and logs the request, and sends an edge report when one is due. Returns the response. */
export function recordRequest(
  { incoming, service, edge, ctx }: RequestContext,
  { response, kind }: ClientResponse,
  { attempts, hedges }: Pick<FailoverOutcome, 'attempts' | 'hedges'> = NOT_SENT,
): Response {
  const [first] = attempts;
  const last = attempts.at(-1);
  const outcome: RequestOutcome = {
    status: response.status,
    kind,
    attempts: attempts.length,
    hedges,
    moved: first !== undefined && last !== undefined && first !== last && !isSameInstance(first, last),
    ms: edge.now() - incoming.startedAt,
  };
  edge.counters.countRequest(service.id, last?.plan.site?.site ?? null, outcome);
  edge.requestLog.log({
    incoming,
    service: service.id,
    instance: last?.servedBy ?? null,
    outcome,
  });
  edge.reporter.flushIfDue(edge, ctx);
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

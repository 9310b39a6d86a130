import type { RequestOutcome } from '../counters.ts';
import type { RequestContext } from '../request-context.ts';
import type { CompletedAttempt } from './attempt.ts';

export interface ClientResponse {
  readonly response: Response;
  readonly kind: RequestOutcome['kind'];
}

/** Counts and logs the request, and sends an edge report when one is due. Returns the response. */
export function recordRequest(
  { incoming, service, edge, ctx }: RequestContext,
  { response, kind }: ClientResponse,
  attempts: readonly CompletedAttempt[] = [],
): Response {
  const first = attempts[0]?.plan.candidate;
  const last = attempts.at(-1);
  const outcome: RequestOutcome = {
    status: response.status,
    kind,
    attempts: attempts.length,
    moved:
      attempts.length > 1 && (last?.servedBy !== first?.id || last?.plan.candidate?.site !== first?.site),
    ms: edge.now() - incoming.startedAt,
  };
  edge.counters.countRequest(service.id, outcome);
  edge.requestLog.log({
    incoming,
    service: service.id,
    instance: last?.servedBy ?? null,
    outcome,
  });
  edge.reporter.flushIfDue(edge, ctx);
  return response;
}

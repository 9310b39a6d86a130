import { FAILOVER_RULES } from '../../shared/failover.ts';
import { wantsStoredOnly } from '../../shared/stale-cache.ts';
import type { RequestContext } from '../request-context.ts';
import type { FailoverFailure, FailoverOutcome } from './failover-context.ts';

const notSent = (failure: FailoverFailure): FailoverOutcome => ({
  attempts: [],
  cancelled: [],
  hedges: 0,
  picked: null,
  response: null,
  failure,
});

const SHED = notSent('shed');
const NOT_CACHED = notSent('not-cached');

/** The outcome of a request that reaches no instance, or null to send it. */
export function notSentOutcome(context: RequestContext): FailoverOutcome | null {
  const { incoming, service } = context;
  // The edge is a cache for the service if `staleIfError` is not 0.
  if (service.policy.failover.staleIfError > 0 && wantsStoredOnly(incoming.method, incoming.fields))
    return NOT_CACHED;
  return shedOutcome(context);
}

/** Load shedding: the service is overloaded. */
function shedOutcome({ incoming, service, edge }: RequestContext): FailoverOutcome | null {
  const { strategy, class: priorityClass } = service.policy.failover;
  if (!FAILOVER_RULES[strategy].shed) return null;
  const throttle = edge.throttles.forService(service);
  const { startedAt } = incoming;
  if (edge.random() >= throttle.rejectProbability(priorityClass, startedAt)) return null;
  throttle.onRequest(startedAt);
  return SHED;
}

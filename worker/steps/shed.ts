import { FAILOVER_RULES } from '../../shared/failover.ts';
import type { RequestContext } from '../request-context.ts';
import type { FailoverOutcome } from './failover-context.ts';

const SHED: FailoverOutcome = {
  attempts: [],
  cancelled: [],
  hedges: 0,
  picked: null,
  response: null,
  failure: 'shed',
};

/** Load shedding: the outcome of a request that is rejected because the site is overloaded, or null to send it. */
export function shedOutcome({ incoming, service, edge }: RequestContext): FailoverOutcome | null {
  const { strategy, class: priorityClass } = service.policy.failover;
  if (!FAILOVER_RULES[strategy].shed) return null;
  const probability = edge.throttle.rejectProbability(priorityClass, incoming.startedAt);
  return edge.random() < probability ? SHED : null;
}

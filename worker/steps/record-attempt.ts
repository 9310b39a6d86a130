import type { Candidate } from '../../shared/balance/candidate.ts';
import { isEjected, recordFailure, recordSuccess } from '../../shared/ejection.ts';
import { recordLatency } from '../../shared/latency.ts';
import { isFailure, isGatewayUnreachable } from '../../shared/retry.ts';
import type { ServiceView } from '../../shared/view.ts';
import type { Edge } from '../edge.ts';
import type { CompletedAttempt } from './attempt.ts';

/** Updates what this isolate knows about the gateway that was used and the instance that answered. */
export function recordAttempt(attempt: CompletedAttempt, service: ServiceView, edge: Edge): void {
  const now = edge.now();
  const { plan, result, ms } = attempt;
  if (plan.route.kind === 'gateway') {
    if (gatewayFailed(attempt)) {
      edge.gateways.onFailure(plan.route.origin, now);
      return;
    }
    if (result.kind === 'response') edge.gateways.onResponse(plan.route.origin);
  }
  const candidate = servedCandidate(attempt, service);
  if (!candidate) return;
  const success = !isFailure(result);
  const { local } = candidate;
  if (success) {
    recordSuccess(local.ejection, now);
    recordLatency(local.latency, ms, now);
  } else {
    const inRotation = service.candidates.filter((one) => !isEjected(one.local.ejection, now)).length;
    recordFailure(local.ejection, now, service.candidates.length, inRotation);
  }
  const { site, id: instance } = candidate;
  edge.counters.countAttempt({ site, service: service.id, instance, path: plan.route.kind }, success, ms);
}

/** The instance that answered: HAProxy may have used another one than the edge named. Null: not in the snapshot. */
export function servedCandidate(
  { plan, servedBy }: CompletedAttempt,
  service: ServiceView,
): Candidate | null {
  const { candidate } = plan;
  if (!candidate || servedBy === candidate.id) return candidate;
  const site = service.sites.find((one) => one.site === candidate.site);
  return site?.byId.get(servedBy ?? '') ?? null;
}

/** Whether the gateway itself failed, rather than the instance behind it. */
export function gatewayFailed({ plan, result }: CompletedAttempt): boolean {
  if (plan.route.kind !== 'gateway' || result.kind === 'timeout') return false;
  if (result.kind === 'thrown' || isGatewayUnreachable(result.status)) return true;
  // The gateway refuses the edge's token: it lacks the edge's key, or its clock is wrong.
  return result.status === 401 && result.unsentMark;
}

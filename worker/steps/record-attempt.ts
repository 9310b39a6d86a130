import type { Candidate } from '../../shared/balance/candidate.ts';
import { isEjected, recordFailure, recordSuccess } from '../../shared/ejection.ts';
import { recordLatency } from '../../shared/latency.ts';
import { isFailure, isGatewayUnreachable } from '../../shared/retry.ts';
import type { ServiceView } from '../../shared/view.ts';
import type { Edge } from '../edge.ts';
import type { CompletedAttempt } from './attempt.ts';

/** Step 10. What one try says about the gateway it took and the instance that served it. */
export function recordAttempt(attempted: CompletedAttempt, service: ServiceView, edge: Edge): void {
  const now = edge.now();
  const { plan, result, ms } = attempted;
  if (plan.route.kind === 'gateway') {
    if (gatewayFailed(attempted)) {
      edge.gateways.onFailure(plan.route.origin, now);
      return;
    }
    if (result.kind === 'response') edge.gateways.onResponse(plan.route.origin);
  }
  const candidate = servedCandidate(attempted, service);
  if (!candidate) return;
  const failed = isFailure(result);
  const { local } = candidate;
  if (failed) {
    const inRotation = service.candidates.filter((one) => !isEjected(one.local.ejection, now)).length;
    recordFailure(local.ejection, now, service.candidates.length, inRotation);
  } else {
    recordSuccess(local.ejection, now);
    recordLatency(local.latency, ms, now);
  }
  edge.counters.countAttempt(
    { site: candidate.site, service: service.id, instance: candidate.id },
    plan.route.kind,
    !failed,
    ms,
  );
}

/** Who answered: HAProxy may have used another instance of its site than asked for; null when the snapshot has none such. */
export function servedCandidate(
  { plan, servedBy }: CompletedAttempt,
  service: ServiceView,
): Candidate | null {
  const { candidate } = plan;
  if (!candidate || servedBy === candidate.id) return candidate;
  const site = service.sites.find((one) => one.site === candidate.site);
  return site?.byId.get(servedBy ?? '') ?? null;
}

/** Whether it was the gateway that failed, rather than the instance behind it. */
export function gatewayFailed({ plan, result }: CompletedAttempt): boolean {
  if (plan.route.kind !== 'gateway' || result.kind === 'timeout') return false;
  if (result.kind === 'thrown' || isGatewayUnreachable(result.status)) return true;
  // It does not know the edge's key, or its clock is wrong.
  return result.status === 401 && result.unsentMark;
}

import type { Candidate } from '../../shared/balance/candidate.ts';
import { isEjected, onFailure, onSuccess } from '../../shared/ejection.ts';
import { observeLatency } from '../../shared/latency.ts';
import { isFailure } from '../../shared/retry.ts';
import type { ServiceView } from '../../shared/view.ts';
import type { Edge } from '../edge.ts';
import type { Attempted } from './attempt.ts';
import { gatewayFailed } from './fail-over.ts';

/** Step 10. What one try says about the gateway it took and the instance that served it. */
export function learn(attempted: Attempted, service: ServiceView, edge: Edge): void {
  const now = edge.now();
  const { plan, result, response } = attempted;
  if (plan.way.kind === 'gateway') {
    if (gatewayFailed(attempted)) {
      edge.gateways.onFailure(plan.way.origin, now);
      return;
    }
    if (result.kind === 'response') edge.gateways.onAnswer(plan.way.origin);
  }
  const candidate = servedBy(attempted, service, response);
  if (!candidate) return;
  const { local } = candidate;
  if (isFailure(result)) {
    const inRotation = service.candidates.filter((one) => !isEjected(one.local.ejection, now)).length;
    onFailure(local.ejection, now, service.candidates.length, inRotation);
  } else {
    onSuccess(local.ejection, now);
    observeLatency(local.latency, attempted.ms, now);
  }
}

/** HAProxy says which instance it really used: its word counts, not our wish. */
function servedBy({ plan }: Attempted, service: ServiceView, response: Response | null): Candidate | null {
  const used = plan.way.kind === 'gateway' ? response?.headers.get('x-acgs-instance') : null;
  if (!used || used === plan.candidate?.id) return plan.candidate;
  return service.byId.get(used) ?? null;
}

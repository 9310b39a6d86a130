import { type Candidate, countServing } from '../../shared/balance/candidate.ts';
import { recordFailure, recordSuccess } from '../../shared/ejection.ts';
import { recordLatency, recordLatencyBound } from '../../shared/latency.ts';
import { isFailure, isFull } from '../../shared/retry.ts';
import type { RequestContext } from '../request-context.ts';
import type { CompletedAttempt } from './attempt.ts';
import type { PendingAttempt } from './hedge.ts';

/** Updates what this isolate knows about the gateway that was used and the instance that answered. */
export function recordAttempt(attempt: CompletedAttempt, { incoming, service, edge }: RequestContext): void {
  const { plan, result, ms } = attempt;
  const now = attempt.startedAt + ms;
  if (result.kind !== 'response' || result.unsentMark) edge.polls.expectChange(now);
  if (plan.route.kind === 'gateway') {
    if (gatewayFailed(attempt)) {
      edge.gateways.onFailure(plan.route.origin, now);
      return;
    }
    if (result.kind === 'response') edge.gateways.onResponse(plan.route.origin);
  }
  // A full instance has not failed: it has not received the request.
  if (isFull(result)) return;
  const candidate = servedCandidate(attempt);
  if (!candidate) return;
  const success = !isFailure(result);
  const { local } = candidate;
  if (success) {
    recordSuccess(local.ejection);
    if (!incoming.longLived) recordLatency(local.latency, ms, now);
  } else {
    recordFailure(local.ejection, now, () => countServing(service.candidates, candidate, now));
  }
  const { site, id: instance } = candidate;
  edge.counters.countAttempt(
    { site, service: service.id, instance, path: plan.route.kind },
    success,
    incoming.longLived ? null : ms,
  );
}

/**
 * A cancelled attempt does not count as a failure, but its instance took at least that long. Direct picks then avoid an
 * instance that loses to its copies. Which instance a gateway picked is unknown.
 */
export function recordCancelled({ candidate, startedAt }: PendingAttempt, now: number): void {
  if (!candidate) return;
  recordLatencyBound(candidate.local.latency, now - startedAt, { baseline: candidate.latencyMs, now });
}

/** The instance that answered: the gateway may have picked it. Null: unknown, or not in the snapshot. */
export function servedCandidate({ plan, servedBy }: CompletedAttempt): Candidate | null {
  const { candidate, site } = plan;
  if (candidate && servedBy === candidate.id) return candidate;
  return site?.byId.get(servedBy ?? '') ?? null;
}

/** Whether the gateway itself failed, rather than the instance behind it. */
export function gatewayFailed({ plan, result }: CompletedAttempt): boolean {
  if (plan.route.kind !== 'gateway' || result.kind === 'timeout') return false;
  if (result.kind === 'thrown' || result.fromPlatform || result.exhaustedMark) return true;
  // The gateway refuses the edge's token: it lacks the edge's key, or its clock is wrong.
  return result.status === 401 && result.unsentMark;
}

import { isEjected } from '../../shared/ejection.ts';
import { currentLatency } from '../../shared/latency.ts';
import type { RequestContext } from '../request-context.ts';
import { describeAttempts } from './describe-attempts.ts';
import type { FailoverOutcome } from './failover-context.ts';
import type { PickedInstance } from './pick.ts';
import type { StepResults } from './step-results.ts';

/** A header value must stay short: of a large service only the first instances are listed. */
const MAX_CANDIDATES = 24;

/** The value of `x-acgs-trace`: why the request went where it went, as one line of JSON. Attempts are those of an EdgeTrace. */
export function explain(
  { incoming, service, edge }: RequestContext,
  { limits, session, outcome }: StepResults,
): string {
  const now = edge.now();
  const site = edge.snapshots.forSite(outcome.picked?.site.site ?? edge.settings.sites[0] ?? '');
  const trace = {
    requestId: incoming.requestId,
    client: incoming.clientAddress,
    service: service.id,
    snapshot: site && {
      site: site.snapshot.site,
      epoch: site.snapshot.epoch,
      seq: site.snapshot.seq,
      ageMs: now - site.snapshot.issuedAt,
      source: site.source,
    },
    strategy: service.policy.strategy,
    failover: service.policy.failover.strategy,
    rateLimit: limits.headers?.limit ?? null,
    session: { by: session.by, instance: session.instance?.key ?? null },
    sharedIds: edge.snapshots.view?.duplicateInstanceIds.filter((one) => one.service === service.id) ?? [],
    panic: service.sites.some((one) => one.pool(now).panic),
    candidates: service.candidates.slice(0, MAX_CANDIDATES).map((one) => ({
      id: one.id,
      site: one.site,
      state: one.state,
      reason: one.reason,
      priority: one.priority,
      weight: one.weight,
      share: one.share,
      latencyMs: Math.round(currentLatency(one.local.latency, one.latencyMs, now) * 10) / 10,
      pending: one.local.pending,
      ejected: isEjected(one.local.ejection, now),
    })),
    picked: outcome.picked && describePick(outcome.picked, outcome),
    hedges: outcome.hedges,
    attempts: describeAttempts(outcome, now),
    failure: outcome.failure,
    tookMs: now - incoming.startedAt,
  };
  // Header values are bytes: other characters become JSON escapes.
  return JSON.stringify(trace).replace(
    /[^\x20-\x7e]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** The instance that a gateway picked is unknown for a cancelled attempt, which has no response. */
function describePick(
  { candidate, why }: PickedInstance,
  { attempts, cancelled }: Pick<FailoverOutcome, 'attempts' | 'cancelled'>,
) {
  const answered = attempts.find(({ plan }) => plan.candidate === null);
  const gatewayPicked = answered !== undefined || cancelled.some((one) => one.candidate === null);
  return gatewayPicked ? { id: answered?.servedBy ?? null, why: 'gateway' } : { id: candidate.key, why };
}

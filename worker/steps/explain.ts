import { isEjected } from '../../shared/ejection.ts';
import { currentLatency } from '../../shared/latency.ts';
import type { ServiceView } from '../../shared/view.ts';
import type { Edge } from '../edge.ts';
import type { CompletedAttempt } from './attempt.ts';
import type { FailoverOutcome } from './fail-over.ts';
import type { IncomingRequest } from './guard.ts';
import type { LimitResult } from './limit.ts';
import type { AffinitySession } from './pin.ts';

/** Header values have a limit: of a large service only the first instances are told. */
const MAX_CANDIDATES = 24;

/** `x-acgs-trace`: why this request went where it went, as one line of JSON. */
export function explain(
  incoming: IncomingRequest,
  service: ServiceView,
  session: AffinitySession,
  limited: LimitResult,
  outcome: FailoverOutcome,
  edge: Edge,
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
      source: site.lane,
    },
    strategy: service.policy.strategy,
    failover: service.policy.failover.strategy,
    rateLimit: limited.fields?.limit ?? null,
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
      latencyMs: Math.round(currentLatency(one.local.latency, one.latencyMs, now) * 10) / 10,
      pending: one.local.pending,
      ejected: isEjected(one.local.ejection, now),
    })),
    picked: outcome.picked && { id: outcome.picked.candidate.key, why: outcome.picked.why },
    tries: outcome.attempts.map(describeAttempt),
    failure: outcome.failure,
    tookMs: now - incoming.startedAt,
  };
  // Header values are bytes: anything beyond ASCII goes as an escape, which JSON has.
  return JSON.stringify(trace).replace(
    /[^\x20-\x7e]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function describeAttempt({ plan, result, ms, servedBy }: CompletedAttempt) {
  return {
    way: plan.route.kind,
    to: plan.route.origin,
    asked: plan.candidate?.key ?? null,
    served: servedBy,
    result:
      result.kind === 'response' ? result.status : result.kind === 'timeout' ? 'timeout' : result.message,
    ms,
  };
}

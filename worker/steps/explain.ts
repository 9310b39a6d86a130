import { isEjected } from '../../shared/ejection.ts';
import { currentLatency } from '../../shared/latency.ts';
import type { ServiceView } from '../../shared/view.ts';
import type { Edge } from '../edge.ts';
import type { Attempted } from './attempt.ts';
import type { Outcome } from './fail-over.ts';
import type { Incoming } from './guard.ts';
import type { Limited } from './limit.ts';
import type { Session } from './pin.ts';

/** Header values have a limit: of a large service only the first instances are told. */
const MAX_CANDIDATES = 24;

/** `x-acgs-trace`: why this request went where it went, as one line of JSON. */
export function explain(
  incoming: Incoming,
  service: ServiceView,
  session: Session,
  limited: Limited,
  outcome: Outcome,
  edge: Edge,
): string {
  const now = edge.now();
  const site = edge.snapshots.sourceOf(outcome.picked?.site.site ?? edge.settings.sites[0] ?? '');
  const trace = {
    requestId: incoming.requestId,
    client: incoming.client,
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
    sharedIds: edge.snapshots.view?.sharedIds.filter((one) => one.service === service.id) ?? [],
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
    tries: outcome.attempts.map(tellAttempt),
    failure: outcome.failure,
    tookMs: now - incoming.startedAt,
  };
  // Header values are bytes: anything beyond ASCII goes as an escape, which JSON has.
  return JSON.stringify(trace).replace(
    /[^\x20-\x7e]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function tellAttempt({ plan, result, ms, servedBy }: Attempted) {
  return {
    way: plan.way.kind,
    to: plan.way.origin,
    asked: plan.candidate?.key ?? null,
    served: servedBy,
    result:
      result.kind === 'response' ? result.status : result.kind === 'timeout' ? 'timeout' : result.message,
    ms,
  };
}

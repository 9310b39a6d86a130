import type { Candidate } from '../../shared/balance/candidate.ts';
import { pickFrom } from '../../shared/balance/pool.ts';
import { FAILOVER_RULES } from '../../shared/failover.ts';
import { hashText } from '../../shared/hash.ts';
import { orderSites } from '../../shared/site-order.ts';
import type { ServiceView, SiteService } from '../../shared/view.ts';
import type { RequestContext } from '../request-context.ts';
import type { AffinitySession } from './pin.ts';

export interface PickedInstance {
  readonly candidate: Candidate;
  readonly site: SiteService;
  /** `placed`: by the session's id. Both `pinned` and `placed` are binding; for the others a gateway may choose. */
  readonly why: 'pinned' | 'placed' | 'picked' | 'panic' | 'ejected';
}

/** The session's instance when it is usable; else by the service's strategy. Skips `excluded`. */
export function pick(
  context: RequestContext,
  session: AffinitySession,
  excluded: readonly Candidate[],
): PickedInstance | null {
  const { service, edge } = context;
  const pinned = session.instance;
  if (pinned && !excluded.includes(pinned)) {
    const site = siteOf(service, pinned);
    if (site) return { candidate: pinned, site, why: 'pinned' };
  }
  // Every isolate places a moved session on the same instance.
  const placed = session.id === null ? null : service.sessions(session.id, edge.now(), excluded);
  if (placed) {
    const site = siteOf(service, placed);
    if (site) return { candidate: placed, site, why: 'placed' };
  }
  return pickByStrategy(context, excluded);
}

const siteOf = ({ sites }: ServiceView, candidate: Candidate): SiteService | undefined =>
  sites.find((one) => one.site === candidate.site);

/** Site after site. An ejected instance is the last resort. */
function pickByStrategy(
  { incoming, service, edge }: RequestContext,
  excluded: readonly Candidate[],
): PickedInstance | null {
  const now = edge.now();
  const { strategy, failover } = service.policy;
  const { healthyOnly } = FAILOVER_RULES[failover.strategy];
  const keyHash = strategy === 'consistent_hash' ? hashText(incoming.clientKey) : 0;
  const input = { now, random: edge.random, keyHash };
  const location = service.sites.length > 1 ? edge.locationOf(incoming.request) : [];
  let ejected: PickedInstance | null = null;
  for (const site of orderSites(service.sites, location, edge.random)) {
    const selection = pickFrom(site.pool(now), excluded, input);
    if (selection && selection.why !== 'ejected') return { ...selection, site };
    if (selection && !healthyOnly) ejected ??= { ...selection, site };
  }
  return ejected;
}

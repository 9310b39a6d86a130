import type { Candidate } from '../../shared/balance/candidate.ts';
import { pickFrom } from '../../shared/balance/pool.ts';
import { FAILOVER_RULES } from '../../shared/failover.ts';
import { hashText } from '../../shared/hash.ts';
import { orderSites } from '../../shared/site-order.ts';
import type { SiteService } from '../../shared/view.ts';
import type { RequestContext } from '../request-context.ts';
import type { AffinitySession } from './pin.ts';

export interface PickedInstance {
  readonly candidate: Candidate;
  readonly site: SiteService;
  readonly why: 'pinned' | 'picked' | 'panic' | 'ejected';
}

/** The session's instance when it is usable; else by the service's strategy, site after site. Skips `excluded`. */
export function pick(
  { incoming, service, edge }: RequestContext,
  session: AffinitySession,
  excluded: readonly Candidate[],
): PickedInstance | null {
  const now = edge.now();
  const siteOf = (candidate: Candidate): SiteService | undefined =>
    service.sites.find((one) => one.site === candidate.site);
  const pinned = session.instance;
  if (pinned && !excluded.includes(pinned)) {
    const site = siteOf(pinned);
    if (site) return { candidate: pinned, site, why: 'pinned' };
  }
  // Every isolate places a moved session on the same instance.
  const placed = session.id === null ? null : service.sessions(session.id, now, excluded);
  if (placed) {
    const site = siteOf(placed);
    if (site) return { candidate: placed, site, why: 'picked' };
  }
  const { strategy, failover } = service.policy;
  const { healthyOnly } = FAILOVER_RULES[failover.strategy];
  const keyHash = strategy === 'consistent_hash' ? hashText(incoming.clientKey) : 0;
  const input = { now, random: edge.random, keyHash };
  const location = service.sites.length > 1 ? edge.locationOf(incoming.request) : [];
  for (const site of orderSites(service.sites, location, edge.random)) {
    const selection = pickFrom(site.pool(now), excluded, input);
    if (selection && !(healthyOnly && selection.why === 'ejected')) return { ...selection, site };
  }
  return null;
}

import type { Candidate } from '../../shared/balance/candidate.ts';
import { pickFrom } from '../../shared/balance/pool.ts';
import { FAILOVER_RULES } from '../../shared/failover.ts';
import { hashText } from '../../shared/hash.ts';
import { orderSites } from '../../shared/site-order.ts';
import type { ServiceView, SiteService } from '../../shared/view.ts';
import type { Edge } from '../edge.ts';
import type { IncomingRequest } from './guard.ts';
import type { AffinitySession } from './pin.ts';

export interface PickedInstance {
  readonly candidate: Candidate;
  readonly site: SiteService;
  readonly why: 'pinned' | 'picked' | 'panic' | 'ejected';
}

/** Step 6. The session's instance if it has a usable one, else by the service's strategy, site after site. */
export function pick(
  incoming: IncomingRequest,
  service: ServiceView,
  session: AffinitySession,
  tried: readonly Candidate[],
  edge: Edge,
  now: number,
): PickedInstance | null {
  const pinned = session.instance;
  if (pinned && !tried.includes(pinned)) {
    const site = service.sites.find((one) => one.site === pinned.site);
    if (site) return { candidate: pinned, site, why: 'pinned' };
  }
  // A session that must move is placed where every other isolate would place it.
  const next = session.id === null ? null : service.sessions(session.id, now, tried);
  if (next) {
    const site = service.sites.find((one) => one.site === next.site);
    if (site) return { candidate: next, site, why: 'picked' };
  }
  const keyHash = service.policy.strategy === 'consistent_hash' ? hashText(incoming.clientKey) : 0;
  const { healthyOnly } = FAILOVER_RULES[service.policy.failover.strategy];
  const input = { now, random: edge.random, keyHash };
  const place = service.sites.length > 1 ? edge.locationOf(incoming.request) : [];
  for (const site of orderSites(service.sites, place, edge.random)) {
    const selection = pickFrom(site.pool(now), tried, input);
    if (selection && !(healthyOnly && selection.why === 'ejected')) return { ...selection, site };
  }
  return null;
}

import type { Candidate } from '../../shared/balance/candidate.ts';
import { pickFrom } from '../../shared/balance/pool.ts';
import { FAILOVER } from '../../shared/failover.ts';
import { hashText } from '../../shared/hash.ts';
import { orderSites } from '../../shared/sites.ts';
import type { ServiceView, SiteService } from '../../shared/view.ts';
import type { Edge } from '../edge.ts';
import type { Incoming } from './guard.ts';
import type { Session } from './pin.ts';

export interface Picked {
  readonly candidate: Candidate;
  readonly site: SiteService;
  readonly why: 'pinned' | 'picked' | 'panic' | 'ejected';
}

/** Step 6. The session's instance if it has a usable one, else by the service's strategy, site after site. */
export function pick(
  incoming: Incoming,
  service: ServiceView,
  session: Session,
  tried: readonly Candidate[],
  edge: Edge,
  now: number,
): Picked | null {
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
  const { healthyOnly } = FAILOVER[service.policy.failover.strategy];
  const input = { now, random: edge.random, keyHash };
  const place = service.sites.length > 1 ? edge.placeOf(incoming.request) : [];
  for (const site of orderSites(service.sites, place, edge.random)) {
    const selection = pickFrom(site.pool(now), tried, input);
    if (selection && !(healthyOnly && selection.why === 'ejected')) return { ...selection, site };
  }
  return null;
}

import { type AccessCheck, compileAccess } from './access.ts';
import { compileSessionPlacer, type SessionPlacer } from './affinity/session-placement.ts';
import { type Candidate, isServing, newIsolateState, toCandidate } from './balance/candidate.ts';
import type { PickerState } from './balance/picker.ts';
import { buildPool, type Pool } from './balance/pool.ts';
import { FAILOVER_RULES } from './failover.ts';
import { type CompiledRateLimit, compileRateLimit } from './limits/policy.ts';
import { compileRoutes, type Router } from './route.ts';
import type { Snapshot, SnapshotInstance, SnapshotService } from './snapshot/snapshot.ts';

/** What the edge routes from: all sites' snapshots merged, and everything precomputed that does not change per request. */
export interface View {
  readonly route: Router<ServiceView>;
  readonly services: ReadonlyMap<string, ServiceView>;
  readonly snapshots: readonly Snapshot[];
  /** Instance ids that several sites use for one service. */
  readonly duplicateInstanceIds: readonly DuplicateInstanceId[];
  /** Session id → service → key of the instance: recorded moves that override rendezvous. */
  readonly pins: ReadonlyMap<string, Readonly<Record<string, string>>>;
}

export interface DuplicateInstanceId {
  readonly service: string;
  readonly id: string;
  readonly sites: readonly string[];
}

export interface ServiceView {
  readonly id: string;
  readonly routes: readonly string[];
  readonly hosts: readonly string[];
  readonly policy: Omit<SnapshotService, 'instances'>;
  readonly limits: readonly CompiledRateLimit[];
  readonly access: AccessCheck;
  readonly candidates: readonly Candidate[];
  readonly byKey: ReadonlyMap<string, Candidate>;
  readonly sessions: SessionPlacer;
  /** Where the service runs, one entry a site. */
  readonly sites: readonly SiteService[];
}

/** A service at one site. */
export interface SiteService {
  readonly site: string;
  readonly gateways: readonly string[];
  readonly weight: number;
  readonly near: readonly string[];
  /** Whether anything of it may take new sessions, as of the snapshot. */
  readonly serving: boolean;
  readonly byId: ReadonlyMap<string, Candidate>;
  readonly pickerState: PickerState;
  /** The pool as of `now`: rebuilt while a slow start goes on. */
  readonly pool: (now: number) => Pool;
}

export interface ViewOptions {
  now: number;
  /** What the isolate knows of the instances, and where its pickers stand, is taken over from it. */
  previous: View | null;
  newPickerState: () => PickerState;
  /** Where the edge reaches an instance without a gateway; null when it cannot. */
  directOrigin: (instance: SnapshotInstance) => string | null;
}

/**
 * Merges sites, given in the order of SITES: a service that several serve has the policy of the freshest snapshot, and
 * the instances of all. Age only orders; an old snapshot of the only site is as good as a new one.
 */
export function buildView(snapshots: readonly Snapshot[], options: ViewOptions): View {
  const oldestFirst = snapshots.toSorted((a, b) => a.issuedAt - b.issuedAt);
  const ids = new Set(snapshots.flatMap((snapshot) => Object.keys(snapshot.services)));
  const services = new Map([...ids].map((id) => [id, buildService(id, snapshots, options)]));
  return {
    services,
    snapshots,
    route: compileRoutes(services.values()),
    duplicateInstanceIds: [...services.values()].flatMap(sharedIdsOf),
    // The freshest last: of two moves of one session it is the one that counts.
    pins: new Map(oldestFirst.flatMap((snapshot) => pinsOf(snapshot, services))),
  };
}

function buildService(id: string, snapshots: readonly Snapshot[], options: ViewOptions): ServiceView {
  const having = snapshots.filter((snapshot) => snapshot.services[id]);
  const freshest = having.reduce((a, b) => (b.issuedAt > a.issuedAt ? b : a));
  const policy = freshest.services[id];
  if (!policy) throw new Error(`no snapshot has service ${id}`);
  const byKey = new Map<string, Candidate>();
  const sites = having.map((snapshot) => siteService(snapshot, id, policy, byKey, options));
  const candidates = [...byKey.values()];
  return {
    id,
    policy,
    routes: policy.routes,
    hosts: policy.hosts ?? [],
    limits: policy.rateLimits.map(compileRateLimit),
    access: compileAccess(policy.access),
    candidates,
    byKey,
    sessions: compileSessionPlacer(candidates),
    sites,
  };
}

/** Enters its instances in `byKey`; those whose id an earlier site has taken as `<id>@<site>`. */
function siteService(
  snapshot: Snapshot,
  id: string,
  policy: SnapshotService,
  byKey: Map<string, Candidate>,
  { previous, newPickerState: newCursor, directOrigin, now }: ViewOptions,
): SiteService {
  const { site } = snapshot;
  const before = previous?.services.get(id)?.sites.find((one) => one.site === site);
  const candidates = (snapshot.services[id]?.instances ?? []).map((instance) => {
    const key = byKey.has(instance.id) ? `${instance.id}@${site}` : instance.id;
    const place = { service: id, site, direct: directOrigin(instance), key };
    const candidate = toCandidate(instance, place, before?.byId.get(instance.id)?.local ?? newIsolateState());
    byKey.set(key, candidate);
    return candidate;
  });
  const poolPolicy = {
    strategy: policy.strategy,
    slowStart: policy.slowStart,
    mayPanic: !FAILOVER_RULES[policy.failover.strategy].healthyOnly,
  };
  const cursor = before?.pickerState ?? newCursor();
  let pool = buildPool(candidates, poolPolicy, cursor, now);
  return {
    site,
    gateways: snapshot.gateways,
    weight: snapshot.weight ?? 100,
    near: snapshot.near ?? [],
    serving: candidates.some(isServing),
    byId: new Map(candidates.map((candidate) => [candidate.id, candidate])),
    pickerState: cursor,
    pool: (at) => {
      if (at >= pool.staleAt) pool = buildPool(candidates, poolPolicy, cursor, at);
      return pool;
    },
  };
}

function sharedIdsOf({ id: service, candidates, sites }: ServiceView): DuplicateInstanceId[] {
  const ids = new Set(candidates.filter(({ id, key }) => id !== key).map(({ id }) => id));
  return [...ids].map((id) => ({
    service,
    id,
    sites: sites.filter(({ byId }) => byId.has(id)).map(({ site }) => site),
  }));
}

/** A site's snapshot names instances by their ids. */
function pinsOf(
  { site, pins = {} }: Snapshot,
  services: ReadonlyMap<string, ServiceView>,
): [string, Readonly<Record<string, string>>][] {
  const keyOf = (service: string, id: string): string =>
    services
      .get(service)
      ?.sites.find((one) => one.site === site)
      ?.byId.get(id)?.key ?? id;
  return Object.entries(pins).map(([session, places]) => [
    session,
    Object.fromEntries(Object.entries(places).map(([service, id]) => [service, keyOf(service, id)])),
  ]);
}

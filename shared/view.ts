import { type AccessCheck, compileAccess } from './access.ts';
import { compileSessionPlacer, type SessionPlacer } from './affinity/session-placement.ts';
import { type Candidate, isServing, newIsolateState, toCandidate } from './balance/candidate.ts';
import type { PickerState } from './balance/picker.ts';
import { buildPool, type Pool } from './balance/pool.ts';
import { requireStrategy } from './balance/strategies.ts';
import { FAILOVER_RULES } from './failover.ts';
import { type CompiledRateLimit, compileRateLimit } from './limits/policy.ts';
import { compileLongLived, type LongLivedRules } from './long-lived.ts';
import { compileRoutes, type Router } from './route.ts';
import {
  DEFAULT_HEADERS,
  type Snapshot,
  type SnapshotHeaders,
  type SnapshotInstance,
  type SnapshotService,
} from './snapshot/snapshot.ts';

/** What the edge routes from: the snapshots of all sites, merged and compiled. */
export interface View {
  readonly route: Router<ServiceView>;
  readonly services: ReadonlyMap<string, ServiceView>;
  readonly snapshots: readonly Snapshot[];
  /** Instance ids that occur at several sites of one service. */
  readonly duplicateInstanceIds: readonly DuplicateInstanceId[];
  /** Session id → service → key of the instance: recorded moves, which override rendezvous hashing. */
  readonly pins: ReadonlyMap<string, Readonly<Record<string, string>>>;
}

interface DuplicateInstanceId {
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
  readonly longLived: LongLivedRules;
  readonly candidates: readonly Candidate[];
  readonly byKey: ReadonlyMap<string, Candidate>;
  readonly sessions: SessionPlacer;
  /** The sites that run the service. */
  readonly sites: readonly SiteService[];
  /** Which fields edge and gateway add. */
  readonly headers: Readonly<SnapshotHeaders>;
}

/** A service at one site. */
export interface SiteService {
  readonly site: string;
  readonly gateways: readonly string[];
  readonly weight: number;
  readonly near: readonly string[];
  /** Whether any instance may take new sessions, according to the snapshot. */
  readonly serving: boolean;
  readonly byId: ReadonlyMap<string, Candidate>;
  readonly pickerState: PickerState;
  /** The pool at `now`. Built by the first request that needs it; rebuilt each second while an instance is in slow start. */
  readonly pool: (now: number) => Pool;
}

export interface ViewOptions {
  /** The view that this one replaces; isolate state and picker state are kept. */
  previous: View | null;
  newPickerState: () => PickerState;
  /** The origin of an instance for requests without a gateway; null when there is none. */
  directOrigin: (instance: SnapshotInstance) => string | null;
}

/**
 * Merges the snapshots of all sites, in the order of SITES. A service at several sites has the policy of the newest
 * snapshot and the instances of all. A snapshot never expires.
 */
export function buildView(snapshots: readonly Snapshot[], options: ViewOptions): View {
  const oldestFirst = snapshots.toSorted((a, b) => a.issuedAt - b.issuedAt);
  const ids = new Set(snapshots.flatMap((snapshot) => Object.keys(snapshot.services)));
  const services = new Map([...ids].map((id) => [id, buildService(id, snapshots, options)]));
  return {
    services,
    snapshots,
    route: compileRoutes(services.values()),
    duplicateInstanceIds: [...services.values()].flatMap(duplicateIdsOf),
    // The newest last: it overrides an older move of the same session.
    pins: new Map(oldestFirst.flatMap((snapshot) => pinsOf(snapshot, services))),
  };
}

function buildService(id: string, snapshots: readonly Snapshot[], options: ViewOptions): ServiceView {
  const withService = snapshots.filter((snapshot) => snapshot.services[id]);
  const freshest = withService.reduce((a, b) => (b.issuedAt > a.issuedAt ? b : a));
  const policy = freshest.services[id];
  if (!policy) throw new Error(`no snapshot has service ${id}`);
  requireStrategy(policy.strategy);
  const byKey = new Map<string, Candidate>();
  const sites = withService.map((snapshot) => siteService(snapshot, { id, policy, byKey }, options));
  const candidates = [...byKey.values()];
  return {
    id,
    policy,
    routes: policy.routes,
    hosts: policy.hosts ?? [],
    limits: policy.rateLimits.map(compileRateLimit),
    access: compileAccess(policy.access),
    longLived: compileLongLived(policy),
    candidates,
    byKey,
    sessions: lazyPlacer(candidates),
    sites,
    headers: { ...DEFAULT_HEADERS, ...freshest.headers },
  };
}

/** Compiled by the first session: an isolate that sees none saves the time. */
function lazyPlacer(candidates: readonly Candidate[]): SessionPlacer {
  let place: SessionPlacer | null = null;
  return (session, now, tried) => {
    place ??= compileSessionPlacer(candidates);
    return place(session, now, tried);
  };
}

/** Adds the site's instances to `byKey`, as `<id>@<site>` when an earlier site has the id. */
function siteService(
  snapshot: Snapshot,
  { id, policy, byKey }: { id: string; policy: SnapshotService; byKey: Map<string, Candidate> },
  { previous, newPickerState, directOrigin }: ViewOptions,
): SiteService {
  const { site } = snapshot;
  const before = previous?.services.get(id)?.sites.find((one) => one.site === site);
  const candidates = (snapshot.services[id]?.instances ?? []).map((instance) => {
    const key = byKey.has(instance.id) ? `${instance.id}@${site}` : instance.id;
    const direct = policy.protocol === 'http2' ? null : directOrigin(instance);
    const place = { service: id, site, direct, key };
    const candidate = toCandidate(instance, place, before?.byId.get(instance.id)?.local ?? newIsolateState());
    byKey.set(key, candidate);
    return candidate;
  });
  const poolPolicy = {
    strategy: policy.strategy,
    slowStart: policy.slowStart,
    mayPanic: !FAILOVER_RULES[policy.failover.strategy].healthyOnly,
  };
  const pickerState = before?.pickerState ?? newPickerState();
  let pool: Pool | null = null;
  return {
    site,
    gateways: snapshot.gateways,
    weight: snapshot.weight ?? 100,
    near: snapshot.near ?? [],
    serving: candidates.some(isServing),
    byId: new Map(candidates.map((candidate) => [candidate.id, candidate])),
    pickerState,
    pool: (at) => {
      if (!pool || at >= pool.staleAt) pool = buildPool(candidates, poolPolicy, pickerState, at);
      return pool;
    },
  };
}

function duplicateIdsOf({ id: service, candidates, sites }: ServiceView): DuplicateInstanceId[] {
  const ids = new Set(candidates.filter(({ id, key }) => id !== key).map(({ id }) => id));
  return [...ids].map((id) => ({
    service,
    id,
    sites: sites.filter(({ byId }) => byId.has(id)).map(({ site }) => site),
  }));
}

/** The pins of a snapshot name instances by id; the result names them by key. */
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

import { type AccessCheck, compileAccess } from './access.ts';
import { compileSessions, type SessionPlacer } from './affinity/session-instance.ts';
import { type Candidate, isServing, type LocalView, toCandidate } from './balance/candidate.ts';
import type { PickerMemory } from './balance/picker.ts';
import { buildPool, type Pool } from './balance/pool.ts';
import { FAILOVER } from './failover.ts';
import { type CompiledPolicy, compilePolicy } from './limits/policy.ts';
import { compileRoutes, type Router } from './route.ts';
import type { Snapshot, SnapshotInstance, SnapshotService } from './snapshot/snapshot.ts';

/** What the edge routes from: all sites' snapshots merged, and everything precomputed that does not change per request. */
export interface View {
  readonly route: Router<ServiceView>;
  readonly services: ReadonlyMap<string, ServiceView>;
  readonly snapshots: readonly Snapshot[];
  /** Session id → service → instance: recorded moves that override rendezvous. */
  readonly pins: ReadonlyMap<string, Readonly<Record<string, string>>>;
}

export interface ServiceView {
  readonly id: string;
  readonly routes: readonly string[];
  readonly hosts: readonly string[];
  readonly policy: Omit<SnapshotService, 'instances'>;
  readonly limits: readonly CompiledPolicy[];
  readonly access: AccessCheck;
  readonly candidates: readonly Candidate[];
  readonly byId: ReadonlyMap<string, Candidate>;
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
  /** The pool as of `now`: rebuilt while a slow start goes on. */
  readonly pool: (now: number) => Pool;
}

/** State of the isolate that outlives snapshots, found by name. */
export interface Memory {
  local: (site: string, service: string, instance: string) => LocalView;
  cursor: (site: string, service: string) => PickerMemory;
}

export interface ViewOptions {
  memory: Memory;
  now: number;
  /** Where the edge reaches an instance without a gateway; null when it cannot. */
  directOrigin: (instance: SnapshotInstance) => string | null;
}

/**
 * Merges sites: a service that several serve has the policy of the freshest snapshot, and the instances of all. Age only
 * orders; an old snapshot of the only site is as good as a new one.
 */
export function buildView(snapshots: readonly Snapshot[], options: ViewOptions): View {
  const freshestFirst = snapshots.toSorted((a, b) => b.issuedAt - a.issuedAt);
  const ids = new Set(freshestFirst.flatMap((snapshot) => Object.keys(snapshot.services)));
  const services = new Map([...ids].map((id) => [id, buildService(id, freshestFirst, options)]));
  return {
    services,
    snapshots,
    route: compileRoutes(services.values()),
    // The freshest last: of two moves of one session it is the one that counts.
    pins: new Map(freshestFirst.toReversed().flatMap((snapshot) => Object.entries(snapshot.pins ?? {}))),
  };
}

function buildService(id: string, freshestFirst: readonly Snapshot[], options: ViewOptions): ServiceView {
  const candidates: Candidate[] = [];
  const sites: SiteService[] = [];
  let policy: SnapshotService | undefined;
  for (const snapshot of freshestFirst) {
    const service = snapshot.services[id];
    if (!service) continue;
    policy ??= service;
    const own = service.instances.map((instance) =>
      toCandidate(
        instance,
        { service: id, site: snapshot.site, direct: options.directOrigin(instance) },
        options.memory.local(snapshot.site, id, instance.id),
      ),
    );
    candidates.push(...own);
    sites.push(siteService(snapshot, id, policy, own, options));
  }
  if (!policy) throw new Error(`no snapshot has service ${id}`);
  return {
    id,
    policy,
    routes: policy.routes,
    hosts: policy.hosts ?? [],
    limits: policy.rateLimits.map(compilePolicy),
    access: compileAccess(policy.access),
    candidates,
    byId: new Map(candidates.map((candidate) => [candidate.id, candidate])),
    sessions: compileSessions(candidates),
    sites,
  };
}

function siteService(
  snapshot: Snapshot,
  id: string,
  policy: SnapshotService,
  candidates: readonly Candidate[],
  { memory, now }: ViewOptions,
): SiteService {
  const poolPolicy = {
    strategy: policy.strategy,
    slowStart: policy.slowStart,
    mayPanic: !FAILOVER[policy.failover.strategy].healthyOnly,
  };
  const cursor = memory.cursor(snapshot.site, id);
  let pool = buildPool(candidates, poolPolicy, cursor, now);
  return {
    site: snapshot.site,
    gateways: snapshot.gateways,
    weight: snapshot.weight ?? 100,
    near: snapshot.near ?? [],
    serving: candidates.some(isServing),
    pool: (at) => {
      if (at >= pool.staleAt) pool = buildPool(candidates, poolPolicy, cursor, at);
      return pool;
    },
  };
}

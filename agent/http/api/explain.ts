import { uuid7Time } from '../../../shared/affinity/uuid7.ts';
import type { Candidate } from '../../../shared/balance/candidate.ts';
import { type PriorityLevel, pickFrom } from '../../../shared/balance/pool.ts';
import type { Config } from '../../../shared/config/config.ts';
import { hashText } from '../../../shared/hash.ts';
import { compilePathRules, coversPath } from '../../../shared/path.ts';
import type { SnapshotPins } from '../../../shared/snapshot/snapshot.ts';
import { buildView, type ServiceView } from '../../../shared/view.ts';
import { type Instance, instanceKey } from '../../core/state.ts';
import { buildSnapshot } from '../../snapshot/build.ts';
import type { RouteExplanation } from '../schemas/control.ts';

export interface ExplainQuery {
  path: string;
  host: string;
  session?: string;
  client?: string;
}

export interface ExplainInput {
  config: Config;
  instances: Iterable<Instance>;
  pins: SnapshotPins;
  /** The measured shares of the traffic, in percent, of instances of a service. */
  measuredShares?(service: string, instances: readonly string[]): (number | null)[];
}

const NO_SERVICE = {
  service: null,
  route: null,
  strategy: null,
  panic: false,
  chosen: null,
  candidates: [],
  limits: [],
};

interface Decision {
  candidate: Candidate | null;
  why: string;
}

/**
 * What an edge isolate without traffic history would do with a request, computed with the edge's own code from the snapshot
 * as it would be published now.
 */
export function explain(query: ExplainQuery, input: ExplainInput, now: number): RouteExplanation {
  const instances = [...input.instances];
  const sourceOf = new Map(instances.map(({ service, id, source }) => [instanceKey(service, id), source]));
  const snapshot = buildSnapshot({
    config: input.config,
    instances,
    order: { epoch: 0, seq: 0 },
    issuedAt: now,
    pins: input.pins,
  });
  const view = buildView([snapshot], {
    previous: null,
    newPickerState: () => ({ cursor: 0 }),
    directOrigin: ({ publicUrl, url }) => publicUrl ?? url,
  });
  const service = view.route(query.host, query.path);
  if (!service) return { ...NO_SERVICE, why: `no service has a route that covers ${query.path}` };

  const pool = service.sites[0]?.pool(now);
  const shares = sharesOf(pool?.levels ?? []);
  const ids = service.candidates.map(({ id }) => id);
  const measured = input.measuredShares?.(service.id, ids) ?? [];
  const { candidate: chosen, why } =
    deniedByAccessRule(query, service) ??
    placeSession(query.session, service, view.pins, now) ??
    pickWithoutSession(query, service, shares, now);
  return {
    service: service.id,
    route: longestPrefix(service.routes, query.path),
    strategy: service.policy.strategy,
    panic: pool?.panic ?? false,
    chosen: chosen?.id ?? null,
    why,
    candidates: service.candidates.map((candidate, index) => ({
      id: candidate.id,
      source: sourceOf.get(instanceKey(service.id, candidate.id)) ?? null,
      state: candidate.state,
      reason: candidate.reason,
      weight: candidate.weight,
      share: candidate.share,
      priority: candidate.priority,
      sharePercent: Math.round((shares.get(candidate) ?? 0) * 1000) / 10,
      measuredPercent: measured[index] ?? null,
      chosen: candidate === chosen,
    })),
    limits: service.policy.rateLimits
      .filter((limit) => !limit.routes || compilePathRules(limit.routes)(query.path))
      .map(({ name }) => name),
  };
}

function deniedByAccessRule({ path, client }: ExplainQuery, service: ServiceView): Decision | null {
  if (!client) return null;
  const access = service.access(path, client);
  return access.allowed
    ? null
    : { candidate: null, why: `403: the access rule for ${access.rule} denies ${client}` };
}

function placeSession(
  session: string | undefined,
  service: ServiceView,
  pins: ReadonlyMap<string, Readonly<Record<string, string>>>,
  now: number,
): Decision | null {
  if (!session) return null;
  const pinnedKey = pins.get(session)?.[service.id];
  const pinned = pinnedKey === undefined ? undefined : service.byKey.get(pinnedKey);
  if (pinned && pinned.state !== 'down') {
    return { candidate: pinned, why: 'the session was moved here; the snapshot records its pin' };
  }
  const candidate = service.sessions(session, now);
  if (!candidate) return null;
  const began = uuid7Time(session);
  const why =
    began === null
      ? 'hash of the session id over all serving instances'
      : `hash of the session id over the instances that served when the session began (${new Date(began).toISOString()})`;
  return { candidate, why };
}

function pickWithoutSession(
  { client }: ExplainQuery,
  service: ServiceView,
  shares: ReadonlyMap<Candidate, number>,
  now: number,
): Decision {
  const pool = service.sites[0]?.pool(now);
  const picked = pool
    ? pickFrom(pool, [], { now, random: () => 0.5, keyHash: hashText(client ?? '') })
    : null;
  if (!pool || !picked) return { candidate: null, why: '503: no instance can take the request' };
  const names = [...shares]
    .filter(([, share]) => share > 0)
    .map(([{ id }, share]) => `${id} ${Math.round(share * 100)} %`);
  const panic = pool.panic ? 'fewer than half of the instances are healthy, so health is ignored; ' : '';
  return {
    candidate: picked.candidate,
    why: `${panic}no session: ${service.policy.strategy} among ${names.join(', ')}; the chosen one is an example`,
  };
}

function sharesOf(levels: readonly PriorityLevel[]): Map<Candidate, number> {
  const shares = new Map<Candidate, number>();
  let from = 0;
  for (const { members, upTo } of levels) {
    const total = members.reduce((sum, { weight }) => sum + weight, 0);
    for (const { candidate, weight } of members)
      shares.set(candidate, ((upTo - from) * weight) / (total || 1));
    from = upTo;
  }
  return shares;
}

const longestPrefix = (routes: readonly string[], path: string): string | null =>
  routes
    .filter((prefix) => coversPath(prefix, path))
    .reduce<string | null>(
      (best, prefix) => (best === null || prefix.length > best.length ? prefix : best),
      null,
    );

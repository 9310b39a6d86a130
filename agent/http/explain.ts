import { uuid7Time } from '../../shared/affinity/uuid7.ts';
import type { Candidate } from '../../shared/balance/candidate.ts';
import { type PriorityLevel, pickFrom } from '../../shared/balance/pool.ts';
import type { Config } from '../../shared/config/config.ts';
import { hashText } from '../../shared/hash.ts';
import { coversPath } from '../../shared/path.ts';
import type { SnapshotPins } from '../../shared/snapshot/snapshot.ts';
import { buildView, type ServiceView } from '../../shared/view.ts';
import type { Instance } from '../core/state.ts';
import { buildSnapshot } from '../snapshot/build.ts';
import type { RouteExplanation } from './schemas.ts';

export interface ExplainQuery {
  path: string;
  host: string;
  session?: string;
  client?: string;
}

const NOTHING = {
  service: null,
  route: null,
  strategy: null,
  panic: false,
  chosen: null,
  candidates: [],
  limits: [],
};

/**
 * What an edge isolate without observations of its own would do with a request, reckoned with the edge's own code from
 * the snapshot as it would be published now.
 */
export function explain(
  question: ExplainQuery,
  world: { config: Config; instances: Iterable<Instance>; pins: SnapshotPins },
  now: number,
): RouteExplanation {
  const snapshot = buildSnapshot({
    config: world.config,
    instances: world.instances,
    order: { epoch: 0, seq: 0 },
    issuedAt: now,
    pins: world.pins,
  });
  const view = buildView([snapshot], {
    now,
    previous: null,
    newPickerState: () => ({ cursor: 0 }),
    directOrigin: ({ publicUrl, url }) => publicUrl ?? url,
  });
  const service = view.route(question.host, question.path);
  if (!service) return { ...NOTHING, why: `no service has a route that covers ${question.path}` };

  const pool = service.sites[0]?.pool(now);
  const shares = sharesOf(pool?.levels ?? []);
  const finish = (chosen: Candidate | null, why: string): RouteExplanation => ({
    service: service.id,
    route: longestPrefix(service.routes, question.path),
    strategy: service.policy.strategy,
    panic: pool?.panic ?? false,
    chosen: chosen?.id ?? null,
    why,
    candidates: service.candidates.map((one) => ({
      id: one.id,
      state: one.state,
      reason: one.reason,
      weight: one.weight,
      priority: one.priority,
      sharePercent: Math.round((shares.get(one) ?? 0) * 1000) / 10,
      chosen: one === chosen,
    })),
    limits: service.policy.rateLimits
      .filter((limit) => limit.routes?.some((prefix) => coversPath(prefix, question.path)) ?? true)
      .map(({ name }) => name),
  });

  if (question.client) {
    const access = service.access(question.path, question.client);
    if (!access.allowed)
      return finish(null, `403: the access rule for ${access.rule} does not let ${question.client} in`);
  }
  const placed = question.session ? placeSession(question.session, service, view.pins, now) : null;
  if (placed) return finish(placed.candidate, placed.why);
  const picked = pool
    ? pickFrom(pool, [], { now, random: () => 0.5, keyHash: hashText(question.client ?? '') })
    : null;
  if (!picked) return finish(null, '503: no instance can take the request');
  const names = [...shares]
    .filter(([, share]) => share > 0)
    .map(([{ id }, share]) => `${id} ${Math.round(share * 100)} %`);
  const panic = pool?.panic ? 'fewer than half are healthy, so health is ignored; ' : '';
  return finish(
    picked.candidate,
    `${panic}no session: ${service.policy.strategy} among ${names.join(', ')}; for example this one`,
  );
}

function placeSession(
  session: string,
  service: ServiceView,
  pins: ReadonlyMap<string, Readonly<Record<string, string>>>,
  now: number,
): { candidate: Candidate; why: string } | null {
  const moved = pins.get(session)?.[service.id];
  const recorded = moved === undefined ? undefined : service.byKey.get(moved);
  if (recorded && recorded.state !== 'down') {
    return { candidate: recorded, why: 'the session was moved here, which is recorded' };
  }
  const candidate = service.sessions(session, now);
  if (!candidate) return null;
  const began = uuid7Time(session);
  const why =
    began === null
      ? 'placed by the hash of the session id over all that serve'
      : `placed by the hash of the session id over those that served when it began (${new Date(began).toISOString()})`;
  return { candidate, why };
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

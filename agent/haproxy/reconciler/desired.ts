import { slowStartShare } from '../../../shared/balance/pool.ts';
import { type AdminState, type Instance, instanceKey } from '../../core/state.ts';
import { longLivedBackend } from '../long-lived.ts';

/** The desired state of one HAProxy server. Verdict, admin state and weight are set by separate commands. */
export interface DesiredServer {
  /** The backend: a service, or its backend for long-lived connections. */
  service: string;
  instance: string;
  url: string;
  /** Set by `agent up|down` and repeated by the agent-check. Null: no command, HAProxy's own checks decide. */
  verdict: 'up' | 'down' | null;
  reason: string;
  /** Set by `set server … state`, only when it was requested through the agent. */
  admin: AdminState;
  weight: number;
  priority: number;
  maxconn?: number;
}

/** Input of the weights, in addition to the instances. */
export interface DesiredContext {
  services: Readonly<Record<string, { slowStart: number }>>;
}

/** By `backend/instance`: two servers for each instance. */
export type DesiredServers = ReadonlyMap<string, DesiredServer>;

/**
 * Computes the desired servers from the judged instances. `initial` are the instances without a health result when the
 * agent started: they get no verdict until they have one, so an agent restart takes no server out. Any other instance
 * without a result stays out. An open breaker never removes the last serving instance of a service: if all others are
 * out, the instances that pass their probes stay in.
 */
export function computeDesiredServers(
  instances: Iterable<Instance>,
  initial: ReadonlySet<string>,
  services: DesiredContext['services'] = {},
  now = 0,
): Map<string, DesiredServer> {
  const desired = new Map<string, DesiredServer>();
  for (const [service, members] of Map.groupBy(instances, (instance) => instance.service)) {
    const slowStartMs = services[service]?.slowStart ?? 0;
    for (const server of serversOfService(members, initial, slowStartMs, now)) {
      desired.set(instanceKey(server.service, server.instance), server);
    }
  }
  return desired;
}

/** The desired servers of all instances of one service, two of each. */
export function serversOfService(
  members: readonly Instance[],
  initial: ReadonlySet<string>,
  slowStartMs: number,
  now: number,
): DesiredServer[] {
  const verdicts = members.map((member) =>
    verdictOf(member, initial.has(instanceKey(member.service, member.id))),
  );
  const serving = members.some((member, index) => member.admin === 'ready' && verdicts[index] !== 'down');
  return members.flatMap((member, index) => {
    const { service, id, url, reason, admin, priority, maxconn } = member;
    const keepIn = !serving && member.health === 'up' && admin === 'ready';
    const server: DesiredServer = {
      service,
      instance: id,
      url,
      verdict: keepIn ? 'up' : (verdicts[index] ?? null),
      reason,
      admin,
      weight: effectiveWeight(member, slowStartMs, now),
      priority,
      ...(maxconn !== undefined && { maxconn }),
    };
    return [server, { ...server, service: longLivedBackend(service) }];
  });
}

/** The largest weight that HAProxy accepts, and the smallest that still gets traffic. */
const MAX_WEIGHT = 256;

/**
 * The operator's weight, reduced while the instance starts slowly, is on trial, does worse than its peers, or answers
 * slower than they do. The operator's own number is never changed.
 */
function effectiveWeight(instance: Instance, slowStartMs: number, now: number): number {
  const outlierShare = instance.outlier?.share || 1;
  const share =
    Math.min(outlierShare, instance.latencyShare ?? 1) * slowStartShare(instance, slowStartMs, now);
  return Math.min(MAX_WEIGHT, Math.max(1, Math.round(instance.weight * share)));
}

/** Under maintenance `state` is always down, so the verdict comes from health and breaker. */
function verdictOf(instance: Instance, initial: boolean): DesiredServer['verdict'] {
  if (instance.health === 'unknown') return initial ? null : 'down';
  if (instance.admin === 'maint') {
    return instance.health === 'down' || instance.breaker === 'open' ? 'down' : 'up';
  }
  return instance.state === 'down' ? 'down' : 'up';
}

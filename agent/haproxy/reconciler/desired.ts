import { type AdminState, type Instance, instanceKey } from '../../core/state.ts';

/** What HAProxy should do with one server. Each axis is steered by a mechanism of its own. */
export interface DesiredServer {
  service: string;
  instance: string;
  url: string;
  /** `set server … agent up|down`, and what the agent-check answers. Null: hands off, HAProxy's own checks decide. */
  verdict: 'up' | 'down' | null;
  reason: string;
  /** `set server … state`, only for what was asked of us. */
  admin: AdminState;
  weight: number;
  priority: number;
  maxconn?: number;
}

export type DesiredServers = ReadonlyMap<string, DesiredServer>;

/**
 * From judgement to orders. `settled` are the instances there were when the agent started: as long as they are not
 * judged they get no order, so that a starting agent makes no gap; any other one must prove itself first. A breaker
 * never takes a service's last instance: when every other one is out, those that answer probes stay in, since a bad
 * answer beats none.
 */
export function computeDesiredServers(
  instances: Iterable<Instance>,
  settled: ReadonlySet<string>,
): Map<string, DesiredServer> {
  const byService = Map.groupBy(instances, (instance) => instance.service);
  const desired = new Map<string, DesiredServer>();
  for (const [service, members] of byService) {
    const verdicts = members.map((member) => verdictOf(member, settled.has(instanceKey(service, member.id))));
    const working = members.some((member, index) => member.admin === 'ready' && verdicts[index] !== 'down');
    for (const [index, member] of members.entries()) {
      const last = !working && member.health === 'up' && member.admin === 'ready';
      desired.set(instanceKey(service, member.id), {
        service,
        instance: member.id,
        url: member.url,
        verdict: last ? 'up' : (verdicts[index] ?? null),
        reason: member.reason,
        admin: member.admin,
        weight: member.weight,
        priority: member.priority,
        ...(member.maxconn === undefined ? {} : { maxconn: member.maxconn }),
      });
    }
  }
  return desired;
}

/** Under maintenance the state says nothing about the instance itself: what it would be without is told from its parts. */
function verdictOf(instance: Instance, settled: boolean): DesiredServer['verdict'] {
  if (instance.health === 'unknown') return settled ? null : 'down';
  if (instance.admin === 'maint') {
    return instance.health === 'down' || instance.breaker === 'open' ? 'down' : 'up';
  }
  return instance.state === 'down' ? 'down' : 'up';
}

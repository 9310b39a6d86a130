import type { Candidate } from '../../shared/balance/candidate.ts';
import { isGatewayUnreachable, reachOf } from '../../shared/retry.ts';
import type { ServiceView, SiteService } from '../../shared/view.ts';
import type { Edge } from '../edge.ts';
import { canSend, readBody } from '../io/body.ts';
import { type Attempted, attempt, type Way } from './attempt.ts';
import type { Incoming } from './guard.ts';
import { learn } from './learn.ts';
import { type Picked, pick } from './pick.ts';
import type { Session } from './pin.ts';

/** How a request ended: with an upstream's answer, or with none that may be given. */
export interface Outcome {
  readonly attempts: readonly Attempted[];
  readonly picked: Picked | null;
  readonly answer: Response | null;
  /** Why there is none. */
  readonly failure: 'no-instance' | 'exhausted' | 'ambiguous' | null;
}

/** Steps 6 to 8: picks, tries, and moves on as far as the retry table, the budget and the deadline allow. */
export async function failOver(
  incoming: Incoming,
  service: ServiceView,
  session: Session,
  edge: Edge,
): Promise<Outcome> {
  const { maxAttempts } = service.policy.failover;
  const deadlineAt = incoming.startedAt + service.policy.deadline;
  const budget = edge.budgets.of(service);
  budget.onRequest(incoming.startedAt);
  const read = readBody(incoming.request);
  const body = read instanceof Promise ? await read : read;
  const attempts: Attempted[] = [];
  const tried: Candidate[] = [];
  const deadGateways: string[] = [];
  for (;;) {
    const now = edge.now();
    const picked = pick(incoming, service, session, tried, edge, now) ?? again(tried, service);
    if (!picked) return { attempts, picked, answer: null, failure: 'no-instance' };
    const way = chooseWay(incoming, service, picked, deadGateways, edge, now);
    const token = edge.tokens.current(picked.site.site, now);
    const tryOf = await attempt(
      incoming,
      body,
      {
        way,
        candidate: picked.candidate,
        token: token instanceof Promise ? await token : token,
        timeoutMs: Math.max(1, Math.min(service.policy.timeout, deadlineAt - now)),
      },
      edge.now,
    );
    attempts.push(tryOf);
    learn(tryOf, service, edge);
    const { result, response } = tryOf;
    const reach = reachOf(result);
    if (reach === 'final') return { attempts, picked, answer: response, failure: null };
    if (gatewayFailed(tryOf)) deadGateways.push(way.origin);
    else tried.push(picked.candidate);
    const mayMove = reach === 'unsent' || incoming.idempotent;
    const goOn =
      mayMove &&
      attempts.length < maxAttempts &&
      canSend(body) &&
      edge.now() < deadlineAt &&
      budget.tryRetry(edge.now());
    if (goOn) {
      if (response?.body) await response.body.cancel();
      continue;
    }
    // What an application said is passed on; the gateway's own "unavailable" and a thrown error become ours.
    const answer = response && reach === 'ambiguous' ? response : null;
    return { attempts, picked, answer, failure: mayMove ? 'exhausted' : 'ambiguous' };
  }
}

/** Everything was tried once and attempts are left: the first may have recovered, or has another way. */
function again(tried: Candidate[], service: ServiceView): Picked | null {
  const candidate = tried.shift();
  const site = candidate && service.sites.find((one) => one.site === candidate.site);
  return candidate && site ? { candidate, site, why: 'picked' } : null;
}

/** The gateway when there is one that answers; directly when the service asks for it or no gateway is left. */
function chooseWay(
  incoming: Incoming,
  service: ServiceView,
  picked: { candidate: Candidate; site: SiteService },
  deadGateways: readonly string[],
  edge: Edge,
  now: number,
): Way {
  const { direct } = picked.candidate;
  // Only HAProxy knows what was never sent, so what must not be repeated goes through it.
  if (direct && service.policy.path === 'direct' && incoming.idempotent)
    return { kind: 'direct', origin: direct };
  const gateway = edge.gateways.choose(picked.site.gateways, deadGateways, now);
  if (gateway) return { kind: 'gateway', origin: gateway };
  if (direct) return { kind: 'direct', origin: direct };
  return { kind: 'gateway', origin: picked.site.gateways[0] ?? '' };
}

/** Whether it was the gateway that failed, rather than the instance behind it. */
export function gatewayFailed({ plan, result }: Attempted): boolean {
  if (plan.way.kind !== 'gateway') return false;
  return result.kind === 'thrown' || (result.kind === 'response' && isGatewayUnreachable(result.status));
}

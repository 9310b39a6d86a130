import type { Candidate } from '../../shared/balance/candidate.ts';
import { backoffMs, FAILOVER } from '../../shared/failover.ts';
import { isAccepted, reachOf } from '../../shared/retry.ts';
import { sketchQuantile } from '../../shared/sketch.ts';
import type { ServiceView } from '../../shared/view.ts';
import type { Edge } from '../edge.ts';
import { answersStill } from '../io/answers-still.ts';
import { type Body, canSend, missingPart, readBody, sendingMs } from '../io/body.ts';
import { type Attempted, attempt, type Way } from './attempt.ts';
import type { Incoming } from './guard.ts';
import { type Hedge, withHedge } from './hedge.ts';
import { gatewayFailed, learn } from './learn.ts';
import { type Picked, pick } from './pick.ts';
import type { Session } from './pin.ts';
import { unreachable } from './reachable.ts';

/** How a request ended: with an upstream's answer, or with none that may be given. */
export interface Outcome {
  readonly attempts: readonly Attempted[];
  readonly picked: Picked | null;
  readonly answer: Response | null;
  /**
   * Why there is none; null when there is one. `ambiguous`: it may have been processed and must not be repeated.
   * The client's own: `broken` off its body, too `slow` in sending it, `gone`.
   */
  readonly failure: 'no-instance' | 'exhausted' | 'ambiguous' | 'shed' | ClientFailure | null;
}

export type ClientFailure = 'broken' | 'slow' | 'gone';

/** One client request on its way. */
interface Journey {
  readonly incoming: Incoming;
  readonly service: ServiceView;
  readonly session: Session;
  readonly edge: Edge;
  readonly body: Body;
  readonly deadlineAt: number;
  readonly attempts: Attempted[];
  readonly tried: Candidate[];
  readonly deadGateways: string[];
}

/** Steps 6 to 8: picks, tries, and moves on as far as the retry table, the budget and the deadline allow. */
export async function failOver(
  incoming: Incoming,
  service: ServiceView,
  session: Session,
  edge: Edge,
): Promise<Outcome> {
  const { failover, deadline } = service.policy;
  const rules = FAILOVER[failover.strategy];
  const budget = edge.budgets.of(service);
  budget.onRequest(incoming.startedAt);
  const read = readBody(incoming.request);
  const body = read instanceof Promise ? await read : read;
  const journey: Journey = {
    incoming,
    service,
    session,
    edge,
    body,
    // From here: how slowly a client sends is not the instance's fault.
    deadlineAt: edge.now() + deadline,
    attempts: [],
    tried: [],
    deadGateways: [],
  };
  const { attempts } = journey;
  if (body.kind === 'broken') return { attempts, picked: null, answer: null, failure: 'broken' };
  for (;;) {
    const picked = next(journey);
    if (!picked) return { attempts, picked, answer: null, failure: 'no-instance' };
    const isFirst = attempts.length === 0;
    const hedge = isFirst && failover.hedge ? hedgeOf(journey, picked) : null;
    const tryOf = hedge ? await hedged(journey, picked, hedge) : await tryOnce(journey, picked).result;
    // What failed for the client's sake says nothing about the instance.
    const failure = clientFailure(tryOf, incoming, body);
    if (failure) return { attempts, picked, answer: null, failure };
    // Of a long body the runtime does not say at which end it got stuck or broke: to blame is who no longer answers.
    const isUnclear = body.kind === 'stream' && !tryOf.response;
    note(tryOf, journey, isUnclear && (await answersStill(tryOf.plan.way.origin)));
    const reach = reachOf(tryOf.result);
    if (reach === 'final') return { attempts, picked, answer: tryOf.response, failure: null };
    const mayMove = reach === 'unsent' || incoming.idempotent;
    const now = edge.now();
    if (
      mayMove &&
      attempts.length < failover.maxAttempts &&
      canSend(body) &&
      now < journey.deadlineAt &&
      budget.tryRetry(now)
    ) {
      if (tryOf.response?.body) await tryOf.response.body.cancel();
      // A session gets one more try where its state is, if the request may have arrived there at all.
      if (isFirst && rules.secondChance && picked.why === 'pinned' && reach === 'ambiguous')
        journey.tried.pop();
      if (rules.backoff && failover.backoff > 0 && !gatewayFailed(tryOf)) {
        await scheduler.wait(backoffMs(attempts.length, failover.backoff, edge.random));
      }
      continue;
    }
    // What an application said is passed on; the gateway's own "unavailable" and a thrown error become ours.
    const answer = tryOf.response && reach === 'ambiguous' ? tryOf.response : null;
    return { attempts, picked, answer, failure: answer ? null : mayMove ? 'exhausted' : 'ambiguous' };
  }
}

export function clientFailure(
  { response, result }: Attempted,
  incoming: Incoming,
  body: Body,
): ClientFailure | null {
  if (response) return null;
  if (incoming.gone) return 'gone';
  const missing = missingPart(body);
  if (missing === 'broken') return 'broken';
  return missing === 'awaited' && result.kind === 'timeout' ? 'slow' : null;
}

/** The next instance to try. When everything was tried and attempts are left, the first again: it may have recovered. */
function next({ incoming, service, session, tried, deadGateways, edge }: Journey): Picked | null {
  const now = edge.now();
  const cutOff = unreachable(incoming, service, deadGateways, edge, now);
  if (cutOff.length > 0) {
    const elsewhere = pick(incoming, service, session, [...tried, ...cutOff], edge, now);
    if (elsewhere) return elsewhere;
  }
  const picked = pick(incoming, service, session, tried, edge, now);
  if (picked || tried.length === 0) return picked;
  const candidate = tried.shift();
  const site = candidate && service.sites.find((one) => one.site === candidate.site);
  return candidate && site ? { candidate, site, why: 'picked' } : null;
}

interface Running {
  result: Promise<Attempted>;
  cancel: () => void;
}

function tryOnce(journey: Journey, picked: Picked): Running {
  const { incoming, service, edge, body, deadlineAt } = journey;
  const controller = new AbortController();
  const now = edge.now();
  const way = chooseWay(journey, picked, now);
  const timeoutMs = Math.max(1, Math.min(service.policy.timeout, deadlineAt - now)) + sendingMs(body);
  const token = way.kind === 'gateway' ? edge.tokens.current(picked.site.site, now) : null;
  const start = (made: string | null): Promise<Attempted> =>
    attempt(incoming, body, { way, candidate: picked.candidate, token: made, timeoutMs }, edge, controller);
  return {
    result: token instanceof Promise ? token.then(start) : start(token),
    cancel: () => controller.abort(),
  };
}

/** Records a try, and keeps what failed from being tried again. `blameless`: the failure was not the upstream's. */
function note(tryOf: Attempted, journey: Journey, blameless = false): void {
  journey.attempts.push(tryOf);
  const now = journey.edge.now();
  journey.edge.throttle.onAttempt(now);
  if (isAccepted(tryOf.result) || blameless) journey.edge.throttle.onAccept(now);
  if (blameless) return;
  learn(tryOf, journey.service, journey.edge);
  if (gatewayFailed(tryOf)) journey.deadGateways.push(tryOf.plan.way.origin);
  else if (tryOf.plan.candidate) journey.tried.push(tryOf.plan.candidate);
}

/** Below this many samples "usual" is not known. */
const HEDGE_SAMPLES = 100;

/** After the service's 95th percentile another instance is asked as well: only what may be repeated, within the budget. */
function hedgeOf(journey: Journey, first: Picked): Hedge | null {
  const { incoming, service, edge, body } = journey;
  if (!incoming.idempotent || body.kind === 'stream' || body.kind === 'replayed') return null;
  const latency = edge.counters.latencyOf(service.id);
  const usual = latency && latency.count >= HEDGE_SAMPLES ? sketchQuantile(latency, 0.95) : null;
  if (usual === null) return null;
  return {
    afterMs: Math.max(1, usual),
    start: () => {
      const now = edge.now();
      const second = pick(incoming, service, journey.session, [first.candidate], edge, now);
      if (!second || !edge.budgets.of(service).tryRetry(now)) return null;
      return tryOnce(journey, second);
    },
  };
}

async function hedged(journey: Journey, picked: Picked, hedge: Hedge): Promise<Attempted> {
  const { winner, loser } = await withHedge(tryOnce(journey, picked), hedge);
  if (loser) note(loser, journey);
  return winner;
}

/** The gateway when there is one that answers; directly when the service asks for it or no gateway is left. */
function chooseWay({ incoming, service, edge, deadGateways }: Journey, picked: Picked, now: number): Way {
  const { direct } = picked.candidate;
  const { gateways } = picked.site;
  // Only HAProxy knows what was never sent, so what must not be repeated goes through it.
  const mayGoDirectly = incoming.idempotent || gateways.length === 0;
  if (direct && service.policy.path === 'direct' && mayGoDirectly) return { kind: 'direct', origin: direct };
  const gateway = edge.gateways.choose(gateways, deadGateways, now);
  if (gateway) return { kind: 'gateway', origin: gateway };
  if (direct) return { kind: 'direct', origin: direct };
  return { kind: 'gateway', origin: gateways[0] ?? '' };
}

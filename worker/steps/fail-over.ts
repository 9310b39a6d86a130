import type { Candidate } from '../../shared/balance/candidate.ts';
import { backoffMs, FAILOVER_RULES } from '../../shared/failover.ts';
import { classifyAttempt, isAccepted } from '../../shared/retry.ts';
import { sketchQuantile } from '../../shared/sketch.ts';
import type { ServiceView } from '../../shared/view.ts';
import type { Edge } from '../edge.ts';
import { isOriginReachable } from '../io/origin-reachable.ts';
import {
  canSend,
  missingBodyPart,
  type RequestBody,
  readBody,
  uploadAllowanceMs,
} from '../io/request-body.ts';
import { type CompletedAttempt, type Route, sendAttempt } from './attempt.ts';
import type { IncomingRequest } from './guard.ts';
import { type HedgePlan, withHedge } from './hedge.ts';
import { type PickedInstance, pick } from './pick.ts';
import type { AffinitySession } from './pin.ts';
import { gatewayFailed, recordAttempt } from './record-attempt.ts';
import { unreachableCandidates } from './unreachable.ts';

/** How a request ended: with an upstream's answer, or with none that may be given. */
export interface FailoverOutcome {
  readonly attempts: readonly CompletedAttempt[];
  readonly picked: PickedInstance | null;
  readonly response: Response | null;
  /**
   * Why there is none; null when there is one. `ambiguous`: it may have been processed and must not be repeated.
   * The client's own: `broken` off its body, too `slow` in sending it, `gone`.
   */
  readonly failure: 'no-instance' | 'exhausted' | 'ambiguous' | 'shed' | ClientFailure | null;
}

export type ClientFailure = 'broken' | 'slow' | 'gone';

/** One client request on its way. */
interface FailoverContext {
  readonly incoming: IncomingRequest;
  readonly service: ServiceView;
  readonly session: AffinitySession;
  readonly edge: Edge;
  readonly body: RequestBody;
  readonly deadlineAt: number;
  readonly attempts: CompletedAttempt[];
  readonly tried: Candidate[];
  readonly failedGateways: string[];
}

/** Steps 6 to 8: picks, tries, and moves on as far as the retry table, the budget and the deadline allow. */
export async function failOver(
  incoming: IncomingRequest,
  service: ServiceView,
  session: AffinitySession,
  edge: Edge,
): Promise<FailoverOutcome> {
  const { failover, deadline } = service.policy;
  const rules = FAILOVER_RULES[failover.strategy];
  const budget = edge.retryBudgets.forService(service);
  budget.deposit(incoming.startedAt);
  const read = readBody(incoming.request);
  const body = read instanceof Promise ? await read : read;
  const journey: FailoverContext = {
    incoming,
    service,
    session,
    edge,
    body,
    // From here: how slowly a client sends is not the instance's fault.
    deadlineAt: edge.now() + deadline,
    attempts: [],
    tried: [],
    failedGateways: [],
  };
  const { attempts } = journey;
  if (body.kind === 'broken') return { attempts, picked: null, response: null, failure: 'broken' };
  for (;;) {
    const picked = nextTarget(journey);
    if (!picked) return { attempts, picked, response: null, failure: 'no-instance' };
    const isFirst = attempts.length === 0;
    const hedge = isFirst && failover.hedge ? hedgePlan(journey, picked) : null;
    const tryOf = hedge
      ? await sendHedged(journey, picked, hedge)
      : await startAttempt(journey, picked).result;
    // What failed for the client's sake says nothing about the instance.
    const failure = clientFailure(tryOf, incoming, body);
    if (failure) return { attempts, picked, response: null, failure };
    // Of a long body the runtime does not say at which end it got stuck or broke: to blame is who no longer answers.
    const isUnclear = body.kind === 'stream' && !tryOf.response;
    recordResult(tryOf, journey, isUnclear && (await isOriginReachable(tryOf.plan.route.origin)));
    const reach = classifyAttempt(tryOf.result);
    if (reach === 'final') return { attempts, picked, response: tryOf.response, failure: null };
    const mayMove = reach === 'unsent' || incoming.idempotent;
    const now = edge.now();
    if (
      mayMove &&
      attempts.length < failover.maxAttempts &&
      canSend(body) &&
      now < journey.deadlineAt &&
      budget.tryWithdraw(now)
    ) {
      if (tryOf.response?.body) await tryOf.response.body.cancel();
      // A session gets one more try where its state is, if the request may have arrived there at all.
      if (isFirst && rules.retrySameInstance && picked.why === 'pinned' && reach === 'ambiguous')
        journey.tried.pop();
      if (rules.backoff && failover.backoff > 0 && !gatewayFailed(tryOf)) {
        await scheduler.wait(backoffMs(attempts.length, failover.backoff, edge.random));
      }
      continue;
    }
    // What an application said is passed on; the gateway's own "unavailable" and a thrown error become ours.
    const answer = tryOf.response && reach === 'ambiguous' ? tryOf.response : null;
    return {
      attempts,
      picked,
      response: answer,
      failure: answer ? null : mayMove ? 'exhausted' : 'ambiguous',
    };
  }
}

export function clientFailure(
  { response, result }: CompletedAttempt,
  incoming: IncomingRequest,
  body: RequestBody,
): ClientFailure | null {
  if (response) return null;
  if (incoming.clientGone) return 'gone';
  const missing = missingBodyPart(body);
  if (missing === 'broken') return 'broken';
  return missing === 'awaited' && result.kind === 'timeout' ? 'slow' : null;
}

/** The next instance to try. When everything was tried and attempts are left, the first again: it may have recovered. */
function nextTarget({
  incoming,
  service,
  session,
  tried,
  failedGateways: deadGateways,
  edge,
}: FailoverContext): PickedInstance | null {
  const now = edge.now();
  const cutOff = unreachableCandidates(incoming, service, deadGateways, edge, now);
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

interface PendingAttempt {
  result: Promise<CompletedAttempt>;
  cancel: () => void;
}

function startAttempt(journey: FailoverContext, picked: PickedInstance): PendingAttempt {
  const { incoming, service, edge, body, deadlineAt } = journey;
  const controller = new AbortController();
  const now = edge.now();
  const way = chooseRoute(journey, picked, now);
  const timeoutMs = Math.max(1, Math.min(service.policy.timeout, deadlineAt - now)) + uploadAllowanceMs(body);
  const token = way.kind === 'gateway' ? edge.gatewayTokens.tokenFor(picked.site.site, now) : null;
  const start = (made: string | null): Promise<CompletedAttempt> =>
    sendAttempt(
      incoming,
      body,
      { route: way, candidate: picked.candidate, token: made, timeoutMs },
      edge,
      controller,
    );
  return {
    result: token instanceof Promise ? token.then(start) : start(token),
    cancel: () => controller.abort(),
  };
}

/** Records a try, and keeps what failed from being tried again. `blameless`: the failure was not the upstream's. */
function recordResult(tryOf: CompletedAttempt, journey: FailoverContext, blameless = false): void {
  journey.attempts.push(tryOf);
  const now = journey.edge.now();
  journey.edge.throttle.onAttempt(now);
  if (isAccepted(tryOf.result) || blameless) journey.edge.throttle.onAccept(now);
  if (blameless) return;
  recordAttempt(tryOf, journey.service, journey.edge);
  if (gatewayFailed(tryOf)) journey.failedGateways.push(tryOf.plan.route.origin);
  else if (tryOf.plan.candidate) journey.tried.push(tryOf.plan.candidate);
}

/** Below this many samples "usual" is not known. */
const HEDGE_MIN_SAMPLES = 100;

/** After the service's 95th percentile another instance is asked as well: only what may be repeated, within the budget. */
function hedgePlan(journey: FailoverContext, first: PickedInstance): HedgePlan | null {
  const { incoming, service, edge, body } = journey;
  if (!incoming.idempotent || body.kind === 'stream' || body.kind === 'replayed') return null;
  const latency = edge.counters.latencySketch(service.id);
  const usual = latency && latency.count >= HEDGE_MIN_SAMPLES ? sketchQuantile(latency, 0.95) : null;
  if (usual === null) return null;
  return {
    afterMs: Math.max(1, usual),
    start: () => {
      const now = edge.now();
      const second = pick(incoming, service, journey.session, [first.candidate], edge, now);
      if (!second || !edge.retryBudgets.forService(service).tryWithdraw(now)) return null;
      return startAttempt(journey, second);
    },
  };
}

async function sendHedged(
  journey: FailoverContext,
  picked: PickedInstance,
  hedge: HedgePlan,
): Promise<CompletedAttempt> {
  const { winner, loser } = await withHedge(startAttempt(journey, picked), hedge);
  if (loser) recordResult(loser, journey);
  return winner;
}

/** The gateway when there is one that answers; directly when the service asks for it or no gateway is left. */
function chooseRoute(
  { incoming, service, edge, failedGateways: deadGateways }: FailoverContext,
  picked: PickedInstance,
  now: number,
): Route {
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

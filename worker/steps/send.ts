import { sketchQuantile } from '../../shared/sketch.ts';
import { uploadAllowanceMs } from '../io/request-body.ts';
import { type CompletedAttempt, type Route, sendAttempt } from './attempt.ts';
import type { FailoverContext } from './failover-context.ts';
import { type HedgePlan, type PendingAttempt, withHedge } from './hedge.ts';
import { type PickedInstance, pick } from './pick.ts';

interface SendResult {
  readonly attempt: CompletedAttempt;
  /** The other attempt of a hedged request, when it has failed. */
  readonly hedgeLoser: CompletedAttempt | null;
}

/** Sends the request to the picked instance. A first attempt is hedged when the service asks for it. */
export async function send(context: FailoverContext, picked: PickedInstance): Promise<SendResult> {
  const isHedged = context.service.policy.failover.hedge && context.attempts.length === 0;
  const hedge = isHedged ? hedgePlan(context, picked) : null;
  const pending = startAttempt(context, picked);
  if (!hedge) return { attempt: await pending.result, hedgeLoser: null };
  const { winner, loser } = await withHedge(pending, hedge);
  return { attempt: winner, hedgeLoser: loser };
}

function startAttempt(context: FailoverContext, { candidate, site }: PickedInstance): PendingAttempt {
  const { incoming, service, edge, body, deadlineAt } = context;
  const controller = new AbortController();
  const now = edge.now();
  const route = chooseRoute(context, { candidate, site }, now);
  const timeoutMs = Math.max(1, Math.min(service.policy.timeout, deadlineAt - now)) + uploadAllowanceMs(body);
  const token = route.kind === 'gateway' ? edge.gatewayTokens.tokenFor(site.site, now) : null;
  const start = (signed: string | null): Promise<CompletedAttempt> => {
    const plan = { route, candidate, token: signed, timeoutMs };
    return sendAttempt({ incoming, body, plan, edge, controller });
  };
  return {
    result: token instanceof Promise ? token.then(start) : start(token),
    cancel: () => controller.abort(),
  };
}

/** Below this many samples the usual latency is unknown. */
const HEDGE_MIN_SAMPLES = 100;

/** Hedges after the service's 95th percentile, idempotent requests only. The hedge costs one retry of the budget. */
function hedgePlan(context: FailoverContext, first: PickedInstance): HedgePlan | null {
  const { incoming, service, edge, body } = context;
  if (!incoming.idempotent || body.kind === 'stream' || body.kind === 'replayed') return null;
  const latency = edge.counters.latencySketch(service.id);
  if (!latency || latency.count < HEDGE_MIN_SAMPLES) return null;
  const p95 = sketchQuantile(latency, 0.95);
  if (p95 === null) return null;
  return {
    afterMs: Math.max(1, p95),
    start: () => {
      const second = pick(context, context.session, [first.candidate]);
      if (!second || !edge.retryBudgets.forService(service).tryWithdraw(edge.now())) return null;
      return startAttempt(context, second);
    },
  };
}

/** Through a gateway when one is usable; directly when the service asks for it, or when no gateway is usable. */
function chooseRoute(
  { incoming, service, edge, failedGateways }: FailoverContext,
  { candidate, site }: Pick<PickedInstance, 'candidate' | 'site'>,
  now: number,
): Route {
  const { direct } = candidate;
  const { gateways } = site;
  // Only HAProxy can tell that it sent nothing, so a request that must not be repeated goes through a gateway.
  const mayGoDirectly = incoming.idempotent || gateways.length === 0;
  if (direct && service.policy.path === 'direct' && mayGoDirectly) return { kind: 'direct', origin: direct };
  const gateway = edge.gateways.choose(gateways, failedGateways, now);
  if (gateway) return { kind: 'gateway', origin: gateway };
  if (direct) return { kind: 'direct', origin: direct };
  return { kind: 'gateway', origin: gateways[0] ?? '' };
}

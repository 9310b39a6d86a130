import { backoffMs, FAILOVER_RULES } from '../../shared/failover.ts';
import { classifyAttempt, isAccepted, isFull } from '../../shared/retry.ts';
import type { IncomingRequest } from '../incoming-request.ts';
import { canSend, missingBodyPart, type RequestBody, readBody, untilSent } from '../io/request-body.ts';
import type { RequestContext } from '../request-context.ts';
import type { CompletedAttempt } from './attempt.ts';
import type { ClientFailure, FailoverContext, FailoverFailure, FailoverOutcome } from './failover-context.ts';
import type { SendResult } from './hedge.ts';
import { type PickedInstance, pick } from './pick.ts';
import type { AffinitySession } from './pin.ts';
import { gatewayFailed, recordAttempt, recordCancelled, servedCandidate } from './record-attempt.ts';
import { send } from './send.ts';
import { unreachableCandidates } from './unreachable.ts';

/** Sends the request, and again elsewhere as far as the retry table, the retry budget and the deadline allow. */
export function failOver(request: RequestContext, session: AffinitySession): Promise<FailoverOutcome> {
  const { incoming, service, edge } = request;
  edge.retryBudgets.forService(service).deposit(incoming.startedAt);
  edge.hedging.forService(service).budget.onRequest();
  const reading = readBody(incoming, edge);
  return reading instanceof Promise
    ? reading.then((body) => sendUntilFinal(newContext(request, session, body)))
    : sendUntilFinal(newContext(request, session, reading));
}

const newContext = (
  request: RequestContext,
  session: AffinitySession,
  body: RequestBody,
): FailoverContext => {
  const { incoming, view, service, edge, ctx } = request;
  return {
    incoming,
    view,
    service,
    edge,
    ctx,
    session,
    body,
    // Starts when a short body is complete: the time that a slow client takes does not count.
    deadlineAt: edge.now() + deadlineMs(request),
    attempts: [],
    cancelled: [],
    hedges: 0,
    tried: [],
    failedGateways: [],
  };
};

/** A held answer may take longer than the deadline of other requests. */
const deadlineMs = ({ incoming, service }: RequestContext): number =>
  incoming.longLived
    ? Math.max(service.policy.deadline, service.longLived.headersTimeout(incoming))
    : service.policy.deadline;

async function sendUntilFinal(context: FailoverContext): Promise<FailoverOutcome> {
  const { attempts, body, incoming } = context;
  if (body.kind === 'failed') return failed(context, null, body.failure);
  for (;;) {
    const isFirst = attempts.length === 0;
    const picked = nextTarget(context);
    if (!picked) return failed(context, picked, 'no-instance');
    const sent = await send(context, picked);
    const { attempt } = sent;
    const clientFault = clientFailure(attempt, incoming, body);
    // A client that disconnects aborts all copies. Their instances are not blamed.
    if (clientFault) return failed(context, picked, clientFault);
    if (sent.hedges > 0) recordHedges(context, sent);
    recordResult(context, attempt);
    if (!mayRepeat(attempt, incoming) || isEverySiteFull(context, attempt) || !takeRetry(context))
      return finalOutcome(context, picked, attempt);
    if (isFirst && picked.why === 'pinned') allowSameInstance(context, attempt);
    await prepareRetry(context, attempt);
  }
}

/** By the retry table: whether sending the request again is useful and safe. */
function mayRepeat({ result }: CompletedAttempt, { idempotent }: IncomingRequest): boolean {
  const verdict = classifyAttempt(result);
  return verdict === 'unsent' || (verdict === 'ambiguous' && idempotent);
}

/** Passes on what the application answered. A gateway's own "unsent" response becomes a failure. */
function finalOutcome(
  context: FailoverContext,
  picked: PickedInstance,
  attempt: CompletedAttempt,
): FailoverOutcome {
  const { attempts, cancelled, hedges, incoming, body } = context;
  const isUnsent = classifyAttempt(attempt.result) === 'unsent';
  if (attempt.response && !isUnsent) {
    const response = untilSent(body, attempt.response);
    return { attempts, cancelled, hedges, picked, response, failure: null };
  }
  if (isUnsent && isFull(attempt.result)) return failed(context, picked, 'full');
  return failed(context, picked, isUnsent || incoming.idempotent ? 'exhausted' : 'ambiguous');
}

/** Repeating the request would only make it wait in the same queue again. */
const isEverySiteFull = ({ service, tried }: FailoverContext, { result }: CompletedAttempt): boolean =>
  isFull(result) && tried.length >= service.candidates.length;

const failed = (
  { attempts, cancelled, hedges }: FailoverContext,
  picked: PickedInstance | null,
  failure: FailoverFailure,
): FailoverOutcome => ({ attempts, cancelled, hedges, picked, response: null, failure });

/** Which failure of the client, if any, ended the attempt. It says nothing about the instance. */
export function clientFailure(
  { response, result }: CompletedAttempt,
  incoming: IncomingRequest,
  body: RequestBody,
): ClientFailure | null {
  if (response) return null;
  if (incoming.clientGone) return 'gone';
  const missing = missingBodyPart(body);
  if (missing !== 'awaited') return missing;
  return result.kind === 'timeout' ? 'slow' : null;
}

/** The next instance to try. When all were tried and attempts are left, the first again: it may have recovered. */
function nextTarget(context: FailoverContext): PickedInstance | null {
  const { service, tried } = context;
  const unreachable = unreachableCandidates(context);
  if (unreachable.length > 0) {
    const reachable = pick(context, context.session, [...tried, ...unreachable]);
    if (reachable) return reachable;
  }
  const picked = pick(context, context.session, tried);
  if (picked || tried.length === 0) return picked;
  const candidate = tried.shift();
  const site = candidate && service.sites.find((one) => one.site === candidate.site);
  return candidate && site ? { candidate, site, why: 'picked' } : null;
}

/** Records the results of all copies of a late request, except the attempt that ended it. */
function recordHedges(context: FailoverContext, sent: SendResult): void {
  const { edge, service } = context;
  const now = edge.now();
  context.hedges += sent.hedges;
  context.cancelled.push(...sent.cancelled);
  edge.hedging.forService(service).budget.onResult(sent.hedgeWon, now - context.incoming.startedAt);
  for (const one of sent.cancelled) recordCancelled(one, now);
  for (const one of sent.failedAttempts) recordResult(context, one);
}

function recordResult(context: FailoverContext, attempt: CompletedAttempt): void {
  const { edge, service } = context;
  context.attempts.push(attempt);
  const now = attempt.startedAt + attempt.ms;
  if (FAILOVER_RULES[service.policy.failover.strategy].shed) {
    const throttle = edge.throttles.forService(service);
    throttle.onRequest(now);
    if (isAccepted(attempt.result)) throttle.onAccept(now);
  }
  recordAttempt(attempt, context);
  const { site, candidate: named } = attempt.plan;
  if (gatewayFailed(attempt)) context.failedGateways.push(attempt.plan.route.origin);
  // The gateway could choose from all its instances.
  else if (isFull(attempt.result) && !named && site) context.tried.push(...site.byId.values());
  else {
    const candidate = servedCandidate(attempt) ?? attempt.plan.candidate;
    if (candidate) context.tried.push(candidate);
  }
}

/** Whether another attempt is allowed. Takes it out of the retry budget. */
function takeRetry({ attempts, body, deadlineAt, service, edge }: FailoverContext): boolean {
  const now = edge.now();
  return (
    attempts.length < service.policy.failover.maxAttempts &&
    canSend(body) &&
    now < deadlineAt &&
    edge.retryBudgets.forService(service).tryWithdraw(now)
  );
}

/** With the `graceful` strategy a session gets a second attempt on its instance, if the first may have reached it. */
function allowSameInstance({ service, tried }: FailoverContext, { result }: CompletedAttempt): void {
  const { retrySameInstance } = FAILOVER_RULES[service.policy.failover.strategy];
  if (retrySameInstance && classifyAttempt(result) === 'ambiguous') tried.pop();
}

/** Drops the failed response, then waits for the strategy's backoff. A failed gateway needs none: another one is next. */
async function prepareRetry({ attempts, service, edge }: FailoverContext, failed: CompletedAttempt) {
  const { strategy, backoff } = service.policy.failover;
  if (failed.response?.body) await failed.response.body.cancel();
  if (FAILOVER_RULES[strategy].backoff && backoff > 0 && !gatewayFailed(failed)) {
    await scheduler.wait(backoffMs(attempts.length, backoff, edge.random));
  }
}

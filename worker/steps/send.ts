import { type Candidate, isServing } from '../../shared/balance/candidate.ts';
import { isEjected } from '../../shared/ejection.ts';
import { isFull, isSafe } from '../../shared/retry.ts';
import { type AttemptOptions, type CompletedAttempt, type Route, sendAttempt } from './attempt.ts';
import type { FailoverContext } from './failover-context.ts';
import { type PendingAttempt, type SendResult, sendWithHedges, sentOnce } from './hedge.ts';
import { type PickedInstance, pick } from './pick.ts';

/** Copies of one request. With two, at least one goes to another instance than the gateway picked for the original. */
const MAX_COPIES = 2;
/** How soon a request with a session checks whether its instance is still in service. */
const PIN_CHECK_MS = 250;

/** Sends the request, and copies of it to other instances when it is late and may be repeated. */
export function send(context: FailoverContext, picked: PickedInstance): Promise<SendResult> {
  const { service, edge } = context;
  const named = context.attempts.length > 0;
  const now = edge.now();
  if (!isHedgeable(context)) return startAttempt(context, picked, { named, now }).result.then(sentOnce);
  const everyMs = edge.hedging
    .forService(service)
    .delayMs(service, edge.counters.latencySketch(service.id), now);
  const afterMs = isBinding(picked) ? PIN_CHECK_MS : everyMs;
  const sent: PendingAttempt[] = [];
  const start = (onLate: () => void): PendingAttempt => {
    const first = startAttempt(context, picked, { named, now, late: { afterMs, onLate } });
    sent.push(first);
    return first;
  };
  const sendOneCopy = (): PendingAttempt | null => sendCopy(context, picked, sent);
  return sendWithHedges(start, { everyMs, maxCopies: MAX_COPIES - context.hedges, sendCopy: sendOneCopy });
}

/** A long-lived connection is not late, and a copy of it would open a second session. */
const isHedgeable = ({ incoming, service, body, hedges }: FailoverContext): boolean =>
  service.policy.failover.hedge &&
  !incoming.longLived &&
  isSafe(incoming.method) &&
  hedges < MAX_COPIES &&
  body.kind !== 'stream';

/** The session decides the instance, so the gateway must not. */
const isBinding = ({ why }: PickedInstance): boolean => why === 'pinned' || why === 'placed';

/** `sent`: the attempts that are under way, the original first. */
function sendCopy(
  context: FailoverContext,
  picked: PickedInstance,
  sent: PendingAttempt[],
): PendingAttempt | null {
  const { incoming, service, edge, ctx } = context;
  const now = edge.now();
  if (incoming.clientGone) return null;
  // The attempt is late: the agent may have found out why.
  edge.polls.expectChange(now);
  if (edge.polls.isDue(now)) ctx.waitUntil(edge.refresher.refresh());
  // The session's state is on its instance, so another instance may answer wrongly. Copy only when its instance is out.
  if (isBinding(picked) && !isOutOfService(context, picked.candidate, now)) return null;
  const other = pickOther(context, sent, now);
  if (!other) return null;
  const retryBudget = edge.retryBudgets.forService(service);
  if (!retryBudget.canWithdraw(now) || !edge.hedging.forService(service).budget.tryHedge(now)) return null;
  retryBudget.tryWithdraw(now);
  const copy = startAttempt(context, other, { named: true, now, hedge: true });
  sent.push(copy);
  return copy;
}

/** Another instance for a copy; null when there is none that serves. */
function pickOther(
  context: FailoverContext,
  sent: readonly PendingAttempt[],
  now: number,
): PickedInstance | null {
  const { service, tried, session, view, edge } = context;
  const inUse = sent.flatMap(({ candidate }) => candidate ?? []);
  const isViewCurrent = edge.snapshots.view === view;
  const outOfService = isViewCurrent
    ? []
    : service.candidates.filter((one) => isServing(one) && isOutOfService(context, one, now));
  const excluded = [...tried, ...inUse, ...outOfService];
  const other = pick(context, session, excluded);
  if (!other || other.why === 'ejected') return null;
  const isFirstUnknown = sent.length === 1 && inUse.length === 0;
  // A single instance is the one that is late.
  return isFirstUnknown && !pick(context, session, [...excluded, other.candidate]) ? null : other;
}

/** By the newest snapshot, which may be newer than the request. */
function isOutOfService({ service, edge }: FailoverContext, { key }: Candidate, now: number): boolean {
  const candidate = edge.snapshots.view?.services.get(service.id)?.byKey.get(key);
  return !candidate || candidate.state === 'down' || isEjected(candidate.local.ejection, now);
}

interface AttemptStart {
  readonly named: boolean;
  readonly now: number;
  readonly hedge?: boolean;
  readonly late?: AttemptOptions['late'];
}

/** `named`: the gateway must use the picked instance. Otherwise it picks, because it sees all traffic of its site. */
function startAttempt(
  context: FailoverContext,
  picked: PickedInstance,
  { named, now, hedge = false, late }: AttemptStart,
): PendingAttempt {
  const { incoming, service, edge, body, deadlineAt } = context;
  const { site } = picked;
  const controller = new AbortController();
  const route = chooseRoute(context, picked, now);
  const headersTimeout = incoming.longLived
    ? service.longLived.headersTimeout(incoming)
    : service.policy.timeout;
  const timeoutMs = Math.max(1, Math.min(headersTimeout, deadlineAt - now));
  const token = route.kind === 'gateway' ? edge.gatewayTokens.tokenFor(site.site, now) : null;
  const last = context.attempts.at(-1);
  // When an instance was full, the gateway knows best which one is not.
  const wasFull = last !== undefined && isFull(last.result) && !hedge;
  const gatewayPicks = route.kind === 'gateway' && (wasFull || (!named && !isBinding(picked)));
  const candidate = gatewayPicks ? null : picked.candidate;
  const spanId = edge.traceIds.span();
  const start = (signed: string | null): Promise<CompletedAttempt> => {
    const plan = {
      route,
      site,
      candidate,
      token: signed,
      wanted: service.headers,
      spanId,
      hedge,
      timeoutMs,
    };
    return sendAttempt({ incoming, body, plan, edge, controller, ...(late && { late }) });
  };
  return {
    route,
    candidate,
    site: site.site,
    spanId,
    hedge,
    startedAt: now,
    result: token instanceof Promise ? token.then(start) : start(token),
    cancel: () => controller.abort(),
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
  // Only HAProxy can prove that no instance received a request, so a request that must not be repeated goes through a
  // gateway.
  const mayGoDirectly = incoming.idempotent || gateways.length === 0;
  if (direct && service.policy.path === 'direct' && mayGoDirectly) return { kind: 'direct', origin: direct };
  const gateway = edge.gateways.choose(gateways, failedGateways, now);
  if (gateway) return { kind: 'gateway', origin: gateway };
  if (direct) return { kind: 'direct', origin: direct };
  return { kind: 'gateway', origin: gateways[0] ?? '' };
}

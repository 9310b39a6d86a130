import { rateLimitHeaderItem, rateLimitPolicyHeaderItem, resetSeconds } from '../../shared/limits/headers.ts';
import type { LimitDecision } from '../../shared/limits/limiter.ts';
import type { CompiledRateLimit, RateLimitInput } from '../../shared/limits/policy.ts';
import type { RequestContext } from '../request-context.ts';

export interface LimitResult {
  /** Names of the policies that deny the request. Empty: the request may pass. */
  readonly violated: readonly string[];
  readonly retryAfterSeconds: number;
  /** Values of the `RateLimit` and `RateLimit-Policy` headers; null when no policy applies. */
  readonly headers: { limit: string; policy: string } | null;
}

interface MatchedPolicy {
  policy: CompiledRateLimit;
  key: string;
  /** The limit for this key, overrides included. */
  quota: number;
  /** The decision of this isolate's own counter of a policy with `scope: edge`; null for global policies. */
  own: LimitDecision | null;
  /** The decision of the lease of a global policy; null for other policies, and when no lease was requested. */
  leased: LimitDecision | null;
}

const UNLIMITED: LimitResult = { violated: [], retryAfterSeconds: 0, headers: null };

/**
 * Checks every policy that covers the request. A denied request is counted by no policy. Returns a promise only when a
 * global policy has to fetch a lease first. Policies of the isolate decide first: a request that one of them denies must
 * not cost a request to the Limiter, because clients may choose the key of a global policy.
 */
export function applyLimits(request: RequestContext): LimitResult | Promise<LimitResult> {
  const { incoming, service } = request;
  if (service.limits.length === 0) return UNLIMITED;
  const input = rateLimitInput(request);
  const matched: MatchedPolicy[] = [];
  let isDenied = false;
  let hasGlobal = false;
  for (const policy of service.limits) {
    if (!policy.appliesTo(incoming.path) || policy.isExempt?.(incoming.clientAddress)) continue;
    const key = policy.keyOf(input);
    const match: MatchedPolicy = { policy, key, quota: policy.limitOf(key), own: null, leased: null };
    matched.push(match);
    if (policy.scope === 'global') {
      hasGlobal = true;
      continue;
    }
    match.own = takeOwn(match, request);
    if (!match.own.allowed && !policy.shadow) isDenied = true;
  }
  if (matched.length === 0) return UNLIMITED;
  const pending = hasGlobal && !isDenied ? takeLeases(matched, request) : [];
  return pending.length === 0
    ? decide(matched, request)
    : Promise.all(pending).then(() => decide(matched, request));
}

/** Takes the units of the global policies. Returns the decisions that must be leased first. */
function takeLeases(matched: readonly MatchedPolicy[], request: RequestContext): Promise<void>[] {
  const { incoming, service, edge, ctx } = request;
  const pending: Promise<void>[] = [];
  for (const match of matched) {
    const { policy, key, quota } = match;
    if (policy.scope === 'edge') continue;
    const leased = edge.leases.take({ service: service.id, policy, key }, quota, incoming.startedAt, ctx);
    if (!(leased instanceof Promise)) match.leased = leased;
    else
      pending.push(
        leased.then((decision) => {
          match.leased = decision;
        }),
      );
  }
  return pending;
}

function decide(matched: readonly MatchedPolicy[], request: RequestContext): LimitResult {
  const { edge, service } = request;
  const violated: string[] = [];
  const allowed: MatchedPolicy[] = [];
  let retryAfterSeconds = 0;
  let limit = '';
  let deniedLimit = '';
  let policyText = '';
  for (const match of matched) {
    const { policy, quota } = match;
    const decision = decidePolicy(match, request);
    if (decision.allowed) allowed.push(match);
    edge.counters.countLimitDecision(service.id, policy, decision.allowed);
    if (policy.shadow) continue;
    const item = rateLimitHeaderItem(policy, decision);
    if (!decision.allowed) {
      deniedLimit += (deniedLimit ? ', ' : '') + item;
      violated.push(policy.name);
      retryAfterSeconds = Math.max(retryAfterSeconds, resetSeconds(decision.resetMs));
    }
    const separator = limit ? ', ' : '';
    limit += separator + item;
    policyText += separator + rateLimitPolicyHeaderItem(policy, quota);
  }
  if (violated.length > 0) refund(allowed, request);
  // The others get back what this request took from them: their values would be too low.
  return {
    violated,
    retryAfterSeconds,
    headers: limit ? { limit: deniedLimit || limit, policy: policyText } : null,
  };
}

/** The isolate's own counter always applies. A global policy also needs units of its lease. */
function decidePolicy(match: MatchedPolicy, request: RequestContext): LimitDecision {
  const { policy, key, own, leased } = match;
  if (own) return own;
  if (leased && !leased.allowed) return leased;
  const decision = takeOwn(match, request);
  if (!leased) return decision;
  if (!decision.allowed) request.edge.leases.refund({ service: request.service.id, policy, key });
  return { ...decision, remaining: Math.min(decision.remaining, leased.remaining) };
}

function takeOwn({ policy, key, quota }: MatchedPolicy, { edge, service, incoming }: RequestContext) {
  return edge.limiters.forPolicy(service.id, policy).take(key, quota, policy.cost, incoming.startedAt);
}

/** Another policy denied the request, so these must not count it. */
function refund(allowed: readonly MatchedPolicy[], { edge, service, incoming }: RequestContext): void {
  for (const { policy, key, quota, leased } of allowed) {
    edge.limiters.forPolicy(service.id, policy).refund(key, quota, policy.cost, incoming.startedAt);
    if (leased) edge.leases.refund({ service: service.id, policy, key });
  }
}

function rateLimitInput({ incoming, service }: RequestContext): RateLimitInput {
  return {
    path: incoming.path,
    clientKey: incoming.clientKey,
    header: (name) => incoming.fields.get(name),
    sessionKey: () => {
      if (incoming.governanceSessionId) return incoming.governanceSessionId;
      const { by, header } = service.policy.affinity;
      return (by === 'header' && header && incoming.fields.get(header)) || incoming.clientKey;
    },
  };
}

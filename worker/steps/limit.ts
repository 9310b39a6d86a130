import { rateLimitHeaderItem, rateLimitPolicyHeaderItem, resetSeconds } from '../../shared/limits/headers.ts';
import type { LimitDecision } from '../../shared/limits/limiter.ts';
import type { CompiledRateLimit, RateLimitInput } from '../../shared/limits/policy.ts';
import type { ServiceView } from '../../shared/view.ts';
import type { Edge } from '../edge.ts';
import type { IncomingRequest } from './guard.ts';

/** What the limits said: fields for every answer of a limited route, and whether this request is over one. */
export interface LimitResult {
  /** Policies that deny it, by name; empty: it may pass. */
  readonly violated: readonly string[];
  readonly retryAfterSeconds: number;
  /** Values of `RateLimit` and `RateLimit-Policy`; null on an unlimited route. */
  readonly fields: { limit: string; policy: string } | null;
}

interface MatchedPolicy {
  policy: CompiledRateLimit;
  key: string;
  quota: number;
  /** What the native binding said, for policies that have one. */
  nativeDenied: boolean;
}

const UNLIMITED: LimitResult = { violated: [], retryAfterSeconds: 0, fields: null };

/**
 * Step 4. Every policy that covers the request is asked; a denied request is counted by none. Nothing is awaited unless
 * a global policy has no lease left, or a policy asks the native binding.
 */
export function applyLimits(
  incoming: IncomingRequest,
  service: ServiceView,
  edge: Edge,
  ctx: ExecutionContext,
): LimitResult | Promise<LimitResult> {
  if (service.limits.length === 0) return UNLIMITED;
  const request = toLimitedRequest(incoming, service);
  const matching: MatchedPolicy[] = [];
  const waiting: Promise<unknown>[] = [];
  for (const policy of service.limits) {
    if (!policy.appliesTo(incoming.path) || policy.isExempt?.(incoming.clientAddress)) continue;
    const key = policy.keyOf(request);
    const match: MatchedPolicy = { policy, key, quota: policy.limitOf(key), nativeDenied: false };
    matching.push(match);
    if (policy.native !== undefined) waiting.push(askNative(policy.native, match, service, incoming, edge));
    if (policy.scope === 'edge') continue;
    const lease = edge.leases.prepare(service.id, policy, key, match.quota, incoming.startedAt, ctx);
    if (lease) waiting.push(lease);
  }
  if (matching.length === 0) return UNLIMITED;
  if (waiting.length === 0) return decide(matching, service, incoming, edge);
  return Promise.all(waiting).then(() => decide(matching, service, incoming, edge));
}

async function askNative(
  binding: string,
  match: MatchedPolicy,
  service: ServiceView,
  incoming: IncomingRequest,
  edge: Edge,
): Promise<void> {
  const { policy, key } = match;
  match.nativeDenied = !(await edge.native.allows(binding, service.id, policy, key, incoming.startedAt));
}

function decide(
  matching: readonly MatchedPolicy[],
  service: ServiceView,
  incoming: IncomingRequest,
  edge: Edge,
): LimitResult {
  const now = incoming.startedAt;
  const violated: string[] = [];
  const taken: MatchedPolicy[] = [];
  let retryAfterSeconds = 0;
  let limit = '';
  let policyText = '';
  for (const match of matching) {
    const { policy, quota } = match;
    const decision = decidePolicy(match, service, edge, now);
    if (decision.allowed) taken.push(match);
    edge.counters.countLimitDecision(service.id, policy, decision.allowed);
    if (policy.shadow) continue;
    if (!decision.allowed) {
      violated.push(policy.name);
      retryAfterSeconds = Math.max(retryAfterSeconds, resetSeconds(decision.resetMs));
    }
    const separator = limit ? ', ' : '';
    limit += separator + rateLimitHeaderItem(policy, decision);
    policyText += separator + rateLimitPolicyHeaderItem(policy, quota);
  }
  if (violated.length > 0) {
    for (const { policy, key, quota } of taken) {
      edge.limiters.forPolicy(service.id, policy).refund(key, quota, policy.cost, now);
      if (policy.scope === 'global') edge.leases.undo(service.id, policy, key);
    }
  }
  return { violated, retryAfterSeconds, fields: limit ? { limit, policy: policyText } : null };
}

/** The isolate's own count always holds; a global policy asks its lease as well. */
function decidePolicy(
  { policy, key, quota, nativeDenied }: MatchedPolicy,
  service: ServiceView,
  edge: Edge,
  now: number,
): LimitDecision {
  if (nativeDenied) return { allowed: false, remaining: 0, resetMs: policy.windowMs };
  const own = edge.limiters.forPolicy(service.id, policy);
  const decision = own.take(key, quota, policy.cost, now);
  if (policy.scope === 'edge' || !decision.allowed) return decision;
  const leased = edge.leases.take(service.id, policy, key, now);
  if (!leased) return decision;
  if (!leased.allowed) {
    own.refund(key, quota, policy.cost, now);
    return leased;
  }
  return { ...decision, remaining: Math.min(decision.remaining, leased.remaining) };
}

function toLimitedRequest(incoming: IncomingRequest, service: ServiceView): RateLimitInput {
  return {
    path: incoming.path,
    clientKey: incoming.clientKey,
    header: (name) => incoming.request.headers.get(name),
    sessionKey: () => {
      if (incoming.governanceSessionId) return incoming.governanceSessionId;
      const { by, header } = service.policy.affinity;
      return (by === 'header' && header && incoming.request.headers.get(header)) || incoming.clientKey;
    },
  };
}

import { policyItem, rateLimitItem, resetSeconds } from '../../shared/limits/fields.ts';
import type { Decision } from '../../shared/limits/limiter.ts';
import type { CompiledPolicy, LimitedRequest } from '../../shared/limits/policy.ts';
import type { ServiceView } from '../../shared/view.ts';
import type { Edge } from '../edge.ts';
import type { Incoming } from './guard.ts';

/** What the limits said: fields for every answer of a limited route, and whether this request is over one. */
export interface Limited {
  /** Policies that deny it, by name; empty: it may pass. */
  readonly violated: readonly string[];
  readonly retryAfterSeconds: number;
  /** Values of `RateLimit` and `RateLimit-Policy`; null on an unlimited route. */
  readonly fields: { limit: string; policy: string } | null;
}

const UNLIMITED: Limited = { violated: [], retryAfterSeconds: 0, fields: null };

/** Step 4. Every policy that covers the request is asked; a denied request is counted by none. */
export function applyLimits(incoming: Incoming, service: ServiceView, edge: Edge, now: number): Limited {
  if (service.limits.length === 0) return UNLIMITED;
  const request = limitedRequest(incoming, service);
  const taken: { policy: CompiledPolicy; key: string }[] = [];
  const violated: string[] = [];
  let retryAfterSeconds = 0;
  let limit = '';
  let policyText = '';
  for (const policy of service.limits) {
    if (!policy.appliesTo(incoming.path) || policy.isExempt?.(incoming.client)) continue;
    const key = policy.keyOf(request);
    const quota = policy.limitOf(key);
    const decision = edge.limiters.of(service.id, policy).take(key, quota, policy.cost, now);
    if (decision.allowed) taken.push({ policy, key });
    edge.counters.limited(service.id, policy, decision.allowed);
    if (policy.shadow) continue;
    if (!decision.allowed) {
      violated.push(policy.name);
      retryAfterSeconds = Math.max(retryAfterSeconds, resetSeconds(decision.resetMs));
    }
    const separator = limit ? ', ' : '';
    limit += separator + rateLimitItem(policy, decision);
    policyText += separator + policyItem(policy, quota);
  }
  if (violated.length > 0) {
    for (const { policy, key } of taken) edge.limiters.of(service.id, policy).undo(key, policy.cost, now);
  }
  return { violated, retryAfterSeconds, fields: limit ? { limit, policy: policyText } : null };
}

function limitedRequest(incoming: Incoming, service: ServiceView): LimitedRequest {
  return {
    path: incoming.path,
    clientKey: incoming.clientKey,
    header: (name) => incoming.request.headers.get(name),
    sessionKey: () => {
      if (incoming.governance) return incoming.governance;
      const { by, header } = service.policy.affinity;
      return (by === 'header' && header && incoming.request.headers.get(header)) || incoming.clientKey;
    },
  };
}

export type { Decision };

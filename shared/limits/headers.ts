import type { LimitDecision } from './limiter.ts';
import type { CompiledRateLimit } from './policy.ts';

/** Items of the `RateLimit` and `RateLimit-Policy` header fields (draft-ietf-httpapi-ratelimit-headers). */

/**
 * Seconds, rounded up so that a retry after them is not too early. worker/steps/limit.ts makes `Retry-After` from it.
 */
export const resetSeconds = (resetMs: number): number => Math.max(1, Math.ceil(resetMs / 1000));

export function rateLimitHeaderItem(policy: CompiledRateLimit, decision: LimitDecision): string {
  return `${policy.nameField};r=${decision.remaining};t=${resetSeconds(decision.resetMs)}`;
}

/** `limit` is the limit of the key, which an override may have changed. */
export function rateLimitPolicyHeaderItem(policy: CompiledRateLimit, limit: number): string {
  if (limit === policy.limit) return policy.policyField;
  return `${policy.nameField};q=${limit};w=${Math.ceil(policy.windowMs / 1000)}`;
}

import type { LimitDecision } from './limiter.ts';
import type { CompiledRateLimit } from './policy.ts';

/** `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers), as structured-field lists. */

/** Seconds, rounded up: coming back after `t` must not be too early. */
export const resetSeconds = (resetMs: number): number => Math.max(1, Math.ceil(resetMs / 1000));

export function rateLimitHeaderItem(policy: CompiledRateLimit, decision: LimitDecision): string {
  return `${policy.nameField};r=${decision.remaining};t=${resetSeconds(decision.resetMs)}`;
}

/** An override changes the quota this key sees. */
export function rateLimitPolicyHeaderItem(policy: CompiledRateLimit, limit: number): string {
  if (limit === policy.limit) return policy.policyField;
  return `${policy.nameField};q=${limit};w=${Math.ceil(policy.windowMs / 1000)}`;
}

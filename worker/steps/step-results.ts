import type { FailoverOutcome } from './failover-context.ts';
import type { LimitResult } from './limit.ts';
import type { AffinitySession } from './pin.ts';

/** What the earlier steps decided about a request. */
export interface StepResults {
  readonly limits: LimitResult;
  readonly session: AffinitySession;
  readonly outcome: FailoverOutcome;
}

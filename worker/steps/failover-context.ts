import type { Candidate } from '../../shared/balance/candidate.ts';
import type { RequestBody } from '../io/request-body.ts';
import type { UploadFailure } from '../io/upload.ts';
import type { RequestContext } from '../request-context.ts';
import type { CompletedAttempt } from './attempt.ts';
import type { PendingAttempt } from './hedge.ts';
import type { PickedInstance } from './pick.ts';
import type { AffinitySession } from './pin.ts';

/**
 * How sending ended: with an upstream response, or with a failure. `ambiguous`: the request may have been processed and
 * must not be repeated.
 */
export type FailoverOutcome = {
  readonly attempts: readonly CompletedAttempt[];
  /** Attempts that were aborted because a copy, or the attempt it copied, answered first. */
  readonly cancelled: readonly PendingAttempt[];
  /** Copies that were sent because an attempt was late. */
  readonly hedges: number;
  readonly picked: PickedInstance | null;
} & (
  | { readonly response: Response; readonly failure: null }
  | { readonly response: null; readonly failure: FailoverFailure }
);

export type FailoverFailure =
  | 'no-instance'
  | 'exhausted'
  | 'full'
  | 'ambiguous'
  | 'shed'
  | 'not-cached'
  | ClientFailure;

/** The client caused the failure: its body did not arrive, or it hung up. */
export type ClientFailure = UploadFailure | 'gone';

export interface FailoverContext extends RequestContext {
  readonly session: AffinitySession;
  readonly body: RequestBody;
  readonly deadlineAt: number;
  readonly attempts: CompletedAttempt[];
  readonly cancelled: PendingAttempt[];
  /** Copies that were sent because an attempt was late. */
  hedges: number;
  /** Instances that must not be picked again, oldest first. */
  readonly tried: Candidate[];
  /** Gateways that failed this request. */
  readonly failedGateways: string[];
}

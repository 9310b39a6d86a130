/**
 * What may be retried when. A try that did not end in an answer of the application is one of
 *   unsent      the request never reached an instance: any method may move on
 *   ambiguous   it may have been processed: only idempotent methods (RFC 9110 §9.2.2) or an Idempotency-Key may
 *   final       it is the answer
 */
export type AttemptOutcome = 'final' | 'unsent' | 'ambiguous';

export type AttemptResult =
  /** `unsentMark`: `x-acgs-unsent`, on a 503, or on a 401 by which a gateway refuses the edge's own token. */
  | { kind: 'response'; status: number; via: 'gateway' | 'direct'; unsentMark: boolean }
  /** Refused, reset, DNS, TLS, garbage: the runtime does not say which, so it proves nothing about what was sent. */
  | { kind: 'thrown'; message: string }
  | { kind: 'timeout' };

/** Cloudflare's own statuses about an origin it could not reach: refused, unreachable, TLS failed. Nothing was sent. */
const UNSENT_STATUS: ReadonlySet<number> = new Set([521, 523, 525, 526]);
/** Bad gateway, gateway timeout, and Cloudflare's unknown, connect timeout (also: no answer once connected), read timeout. */
const AMBIGUOUS_STATUS: ReadonlySet<number> = new Set([502, 503, 504, 520, 522, 524]);

export function classifyAttempt(result: AttemptResult): AttemptOutcome {
  if (result.kind !== 'response') return 'ambiguous';
  // Only our own gateway can vouch that nothing was sent; an instance that says so is not believed.
  if (result.unsentMark && result.via === 'gateway') return 'unsent';
  // Below 500 is every common answer: out before any look-up.
  if (result.status < 502) return 'final';
  if (UNSENT_STATUS.has(result.status)) return 'unsent';
  return AMBIGUOUS_STATUS.has(result.status) ? 'ambiguous' : 'final';
}

const IDEMPOTENT_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

export const isIdempotent = (method: string, idempotencyKey: boolean): boolean =>
  IDEMPOTENT_METHODS.has(method) || idempotencyKey;

/** Whether the result counts against the instance: every 5xx but "not implemented" and "version not supported". */
export function isFailure(result: AttemptResult): boolean {
  if (result.kind !== 'response') return true;
  return result.status >= 500 && result.status !== 501 && result.status !== 505;
}

/** Whether the site took the request on, for adaptive throttling: whatever it answered, it was not overload. */
export function isAccepted(result: AttemptResult): boolean {
  return (
    result.kind === 'response' &&
    !result.unsentMark &&
    result.status !== 503 &&
    result.status !== 504 &&
    !isGatewayUnreachable(result.status)
  );
}

/** Statuses by which Cloudflare says that it could not reach, or was not answered by, the gateway itself. */
export const isGatewayUnreachable = (status: number): boolean => status >= 520 && status <= 530;

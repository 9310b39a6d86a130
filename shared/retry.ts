/**
 * What an attempt means for a retry:
 *   final       the response goes to the client
 *   unsent      no instance received the request: retry with any method
 *   ambiguous   an instance may have processed it: retry only idempotent methods (RFC 9110 §9.2.2) or with an
 *               Idempotency-Key
 */
type AttemptOutcome = 'final' | 'unsent' | 'ambiguous';

export type AttemptResult =
  /** `unsentMark`: header `x-acgs-unsent`, on a 503, or on a 401 when the gateway rejects the edge's token. */
  | {
      kind: 'response';
      status: number;
      via: 'gateway' | 'direct';
      unsentMark: boolean;
      /**
       * `x-acgs-full`, on a gateway's own 503: the instances are at their limit of connections. It does not count as a
       * failure.
       */
      fullMark?: boolean;
      /** `x-acgs-exhausted`, on a gateway's own 503: it cannot open connections. No instance is to blame. */
      exhaustedMark?: boolean;
      /** Cloudflare made the response itself, because it did not reach the gateway or got no answer. */
      fromPlatform?: boolean;
      /** `x-acgs-final`: the instance answered with a response that no gateway can pass on. */
      finalMark?: boolean;
    }
  /** Connection, DNS, TLS or protocol error. The runtime does not say which, so the request may have been sent. */
  | { kind: 'thrown'; message: string }
  | { kind: 'timeout' };

/** Cloudflare could not reach the origin and sent nothing: connection refused, unreachable, TLS failed. */
const UNSENT_STATUS: ReadonlySet<number> = new Set([521, 523, 525, 526]);
/** Of a gateway or an instance. */
const AMBIGUOUS_STATUS: ReadonlySet<number> = new Set([502, 503, 504]);

export function classifyAttempt(result: AttemptResult): AttemptOutcome {
  if (result.kind !== 'response') return 'ambiguous';
  // Only our gateway knows that nothing was sent. The mark of an instance is ignored.
  if (result.unsentMark && result.via === 'gateway') return 'unsent';
  if (result.finalMark) return 'final';
  // Cloudflare's others are 520 (unknown), 522 (connection timed out, maybe after sending) and 524 (read timeout).
  if (result.fromPlatform) return UNSENT_STATUS.has(result.status) ? 'unsent' : 'ambiguous';
  return AMBIGUOUS_STATUS.has(result.status) ? 'ambiguous' : 'final';
}

const IDEMPOTENT_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

export const isIdempotent = (method: string, idempotencyKey: boolean): boolean =>
  IDEMPOTENT_METHODS.has(method) || idempotencyKey;

const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);

/** Whether two instances may process the request at the same time (RFC 9110 §9.2.1). */
export const isSafe = (method: string): boolean => SAFE_METHODS.has(method);

/** Whether the result counts as a failure of the instance: no response, or any 5xx except 501 and 505. */
export function isFailure(result: AttemptResult): boolean {
  if (result.kind !== 'response') return true;
  // A client could provoke such a response, so it says nothing about the instance.
  if (result.finalMark) return false;
  return result.status >= 500 && result.status !== 501 && result.status !== 505;
}

/** Whether the gateway rejected the request because the instances are full. */
export const isFull = (result: AttemptResult): boolean =>
  result.kind === 'response' && result.fullMark === true;

/** Whether the site accepted the request, for adaptive throttling: it responded, and not with an overload status. */
export function isAccepted(result: AttemptResult): boolean {
  return (
    result.kind === 'response' &&
    !result.unsentMark &&
    result.status !== 503 &&
    result.status !== 504 &&
    !result.fromPlatform
  );
}

/**
 * Whether Cloudflare made this response to a request to a gateway. Applications use the same statuses, and HAProxy names
 * the instance whose response it passes on (`instance`). Off Cloudflare these statuses have no meaning. A direct request
 * proves nothing: the response may be the instance's.
 */
export const isFromPlatform = (
  { status, instance }: { status: number; instance: string | null },
  to: { onCloudflare: boolean; via: 'gateway' | 'direct' },
): boolean =>
  to.onCloudflare &&
  to.via === 'gateway' &&
  instance === null &&
  ((status >= 520 && status <= 526) || status === 530);

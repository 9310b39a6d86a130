import { isOnlyIfCached } from '../../shared/stale-cache.ts';
import type { IncomingRequest } from '../incoming-request.ts';
import { type ProblemDetails, problemResponse } from '../problem.ts';
import type { FailoverFailure, FailoverOutcome } from './failover-context.ts';
import type { LimitResult } from './limit.ts';

/** The responses that the edge itself makes when it does not pass one on. */

const QUOTA_EXCEEDED = 'https://iana.org/assignments/http-problem-types#quota-exceeded';

export const invalidTarget = (requestId: string): Response =>
  errorResponse(
    { requestId },
    {
      title: 'Bad Request',
      status: 400,
      detail: 'The request target must be a path, and Host a name or an address.',
    },
  );

export const invalidField = (requestId: string): Response =>
  errorResponse(
    { requestId },
    {
      title: 'Bad Request',
      status: 400,
      detail: 'A header field contains a control character.',
    },
  );

export const headersTooLarge = (requestId: string, limit: number): Response =>
  errorResponse(
    { requestId },
    {
      title: 'Request Header Fields Too Large',
      status: 431,
      detail: `The header fields are limited to ${limit} bytes.`,
    },
  );

export const methodRefused = (requestId: string): Response =>
  errorResponse(
    { requestId },
    { title: 'Method Not Allowed', status: 405, detail: 'TRACE is not forwarded.' },
  );

export const connectionLogin = (requestId: string): Response =>
  errorResponse(
    { requestId },
    {
      title: 'Not Implemented',
      status: 501,
      detail:
        'NTLM and Negotiate log in a connection, and clients share the connections of the edge; connect to the gateway.',
    },
  );

export const misconfigured = (requestId: string, detail: string): Response =>
  errorResponse({ requestId }, { title: 'Misconfigured edge', status: 500, detail });

/** Workers cannot send such a request on, and without its body it would be a different request. */
export const bodyRefused = (incoming: IncomingRequest): Response =>
  errorResponse(incoming, {
    title: 'Bad Request',
    status: 400,
    detail: `A ${incoming.method} request must not have a body.`,
  });

/**
 * The runtime drops trailers, where gRPC has its status. The error has gRPC's own form; clients do not retry
 * UNIMPLEMENTED.
 */
export const grpcRefused = ({ requestId }: IncomingRequest): Response =>
  new Response(null, {
    headers: {
      'content-type': 'application/grpc',
      'grpc-status': '12',
      'grpc-message': 'gRPC cannot pass the edge, which cannot forward HTTP trailers; connect to the gateway',
      'cache-control': 'no-store',
      'x-request-id': requestId,
    },
  });

export const forbidden = (incoming: IncomingRequest): Response =>
  errorResponse(incoming, {
    title: 'Forbidden',
    status: 403,
    detail: 'Your network may not access this path.',
  });

export const notFound = (incoming: IncomingRequest): Response =>
  errorResponse(incoming, {
    title: 'Not Found',
    status: 404,
    detail: 'No service is configured for this path.',
  });

export function tooManyRequests(incoming: IncomingRequest, limits: LimitResult): Response {
  const { violated, retryAfterSeconds, headers } = limits;
  return errorResponse(
    incoming,
    {
      type: QUOTA_EXCEEDED,
      title: 'Too Many Requests',
      status: 429,
      detail: `Over the limit of ${violated.join(', ')}; try again in ${retryAfterSeconds} s.`,
      'violated-policies': violated,
    },
    {
      ...(headers && { ratelimit: headers.limit, 'ratelimit-policy': headers.policy }),
      'retry-after': String(retryAfterSeconds),
    },
  );
}

/** Workers cannot make a response with a status below 200 or above 599. */
export const invalidStatus = (incoming: IncomingRequest, status: number): Response =>
  errorResponse(incoming, {
    title: 'Bad Gateway',
    status: 502,
    detail: `The upstream answered with the invalid status ${status}.`,
  });

/** The response when no upstream response can be passed on. */
export function failureResponse(
  incoming: IncomingRequest,
  failure: FailoverFailure,
  attempts: FailoverOutcome['attempts'],
): Response {
  switch (failure) {
    case 'gone':
      // The client has hung up. 499 is the status that proxies log for this.
      return new Response(null, { status: 499 });
    case 'broken':
      return errorResponse(incoming, {
        title: 'Bad Request',
        status: 400,
        detail: 'The request body ended too early.',
      });
    case 'slow':
      return errorResponse(incoming, {
        title: 'Request Timeout',
        status: 408,
        detail: 'The request body did not arrive in time.',
      });
    case 'crowded':
      return errorResponse(
        incoming,
        {
          title: 'Too Many Requests',
          status: 429,
          detail: 'This client sends too many request bodies slowly.',
        },
        { 'retry-after': '10' },
      );
    case 'ambiguous':
      return ambiguousFailure(incoming, attempts.at(-1)?.result.kind === 'timeout');
    case 'not-cached':
      return notCached(incoming);
    case 'shed':
      return unavailable(incoming, 'Service overloaded: requests of this class are rejected for now.');
    case 'full':
      if (isOnlyIfCached(incoming.fields)) return notCached(incoming);
      return unavailable(incoming, 'Every instance of the service is at its limit of connections.');
    case 'no-instance':
    case 'exhausted':
      if (isOnlyIfCached(incoming.fields)) return notCached(incoming);
      return unavailable(incoming, 'No instance of the service can answer now.');
  }
}

/** RFC 9111 §5.2.1.7. The edge keeps responses only for outages, so it has none to send. */
const notCached = (incoming: IncomingRequest): Response =>
  errorResponse(incoming, {
    title: 'Gateway Timeout',
    status: 504,
    detail: 'The request accepts only a stored response, and the edge has none.',
  });

/** Has no `Retry-After`: the request may have been processed, so a client must not simply send it again. */
function ambiguousFailure(incoming: IncomingRequest, timedOut: boolean): Response {
  return errorResponse(incoming, {
    title: timedOut ? 'Gateway Timeout' : 'Bad Gateway',
    status: timedOut ? 504 : 502,
    detail:
      'The request may have been processed, and repeating it is not safe. Requests with an Idempotency-Key are retried.',
  });
}

const unavailable = (incoming: IncomingRequest, detail: string): Response =>
  errorResponse(incoming, { title: 'Service Unavailable', status: 503, detail }, { 'retry-after': '1' });

const errorResponse = (
  { requestId }: Pick<IncomingRequest, 'requestId'>,
  details: ProblemDetails,
  headers: Record<string, string> = {},
): Response => problemResponse({ ...details, requestId }, { ...headers, 'x-request-id': requestId });

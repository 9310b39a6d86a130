import { pinExpiry, repin } from '../../shared/affinity/pins.ts';
import type { ServiceView } from '../../shared/view.ts';
import type { Edge } from '../edge.ts';
import { problem } from '../problem.ts';
import type { Outcome } from './fail-over.ts';
import type { Incoming } from './guard.ts';
import type { Limited } from './limit.ts';
import type { Session } from './pin.ts';

/** Step 9. The upstream's answer, its body untouched, with what the edge has to say in its headers. */
export function answer(upstream: Response, outcome: Outcome, incoming: Incoming): Response {
  if (upstream.webSocket) {
    return new Response(null, { status: 101, webSocket: upstream.webSocket, headers: upstream.headers });
  }
  const response = new Response(upstream.body, upstream);
  const { headers } = response;
  const last = outcome.attempts.at(-1);
  if (last?.plan.way.kind === 'direct') {
    // Only a gateway of ours may speak in these names.
    for (const name of [...headers.keys()]) if (name.startsWith('x-acgs-')) headers.delete(name);
    if (last.plan.candidate) headers.set('x-acgs-instance', last.plan.candidate.id);
  }
  headers.append('via', '1.1 acgs-lb');
  headers.set('x-request-id', incoming.requestId);
  return response;
}

/** The affinity cookie: when the session is new, has moved, or has used up half of its time. */
export function cookieFor(
  outcome: Outcome,
  session: Session,
  service: ServiceView,
  incoming: Incoming,
  edge: Edge,
): string | null | Promise<string | null> {
  if (session.by !== 'cookie' || !edge.cookies.enabled || !outcome.picked) return null;
  const instance = usedInstance(outcome);
  if (!instance) return null;
  const { ttl } = service.policy.affinity;
  const now = incoming.startedAt;
  const { pins } = session;
  if (pins?.instances[service.id] === instance && pins.expires - now > ttl / 2) return null;
  const expires = Math.max(pinExpiry(now, ttl), pins?.expires ?? 0);
  return edge.cookies.seal(repin(pins, service.id, instance, expires), incoming.proto === 'https', now);
}

/** HAProxy may have used another instance than asked for: the pin follows where the session's state now is. */
function usedInstance(outcome: Outcome): string | null {
  const last = outcome.attempts.at(-1);
  if (!last || !outcome.answer || outcome.answer.status >= 500) return null;
  const used = last.plan.way.kind === 'gateway' ? outcome.answer.headers.get('x-acgs-instance') : null;
  return used ?? last.plan.candidate?.id ?? null;
}

export function withLimitFields(response: Response, limited: Limited): void {
  if (!limited.fields) return;
  response.headers.set('ratelimit', limited.fields.limit);
  response.headers.set('ratelimit-policy', limited.fields.policy);
}

const QUOTA_EXCEEDED = 'https://iana.org/assignments/http-problem-types#quota-exceeded';

export function tooManyRequests(limited: Limited, incoming: Incoming): Response {
  const response = problem(
    {
      type: QUOTA_EXCEEDED,
      title: 'Too Many Requests',
      status: 429,
      detail: `Over the limit of ${limited.violated.join(', ')}; try again in ${limited.retryAfterSeconds} s.`,
      'violated-policies': limited.violated,
    },
    { 'retry-after': String(limited.retryAfterSeconds), 'x-request-id': incoming.requestId },
  );
  withLimitFields(response, limited);
  return response;
}

export function forbidden(incoming: Incoming): Response {
  return problem(
    { title: 'Forbidden', status: 403, detail: 'This path is not open to your network.' },
    { 'x-request-id': incoming.requestId },
  );
}

export function notFound(incoming: Incoming): Response {
  return problem(
    { title: 'Not Found', status: 404, detail: 'No service is configured for this path.' },
    { 'x-request-id': incoming.requestId },
  );
}

/** Nothing could be reached. Where the request may have been processed, the client is not told to come back. */
export function unavailable(outcome: Outcome, incoming: Incoming): Response {
  const headers = { 'x-request-id': incoming.requestId };
  const last = outcome.attempts.at(-1)?.result;
  if (outcome.failure === 'ambiguous') {
    const timedOut = last?.kind === 'timeout';
    return problem(
      {
        title: timedOut ? 'Gateway Timeout' : 'Bad Gateway',
        status: timedOut ? 504 : 502,
        detail:
          'The request may have been processed and is not safe to repeat: send an Idempotency-Key to have it retried.',
      },
      headers,
    );
  }
  return problem(
    { title: 'Service Unavailable', status: 503, detail: 'No instance of the service can answer now.' },
    { ...headers, 'retry-after': '1' },
  );
}

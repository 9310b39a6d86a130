import { pinExpiry, repin } from '../../shared/affinity/pins.ts';
import type { ServiceView } from '../../shared/view.ts';
import type { Edge } from '../edge.ts';
import { problem } from '../problem.ts';
import type { Outcome } from './fail-over.ts';
import type { Incoming } from './guard.ts';
import type { Limited } from './limit.ts';
import type { Session } from './pin.ts';

const SECURITY_FIELDS = [
  ['x-content-type-options', 'nosniff'],
  ['x-frame-options', 'SAMEORIGIN'],
  ['referrer-policy', 'strict-origin-when-cross-origin'],
] as const;

/** Step 9. The upstream's answer, its body untouched, with what the edge has to say in its headers. */
export function answer(upstream: Response, outcome: Outcome, incoming: Incoming, tookMs: number): Response {
  if (upstream.webSocket) {
    return new Response(null, { status: 101, webSocket: upstream.webSocket, headers: upstream.headers });
  }
  const response = new Response(upstream.body, upstream);
  const { headers } = response;
  const last = outcome.attempts.at(-1);
  if (last?.plan.way.kind === 'direct') {
    // Only a gateway of ours may speak in these names, and it has set the security fields already.
    for (const name of [...headers.keys()]) if (name.startsWith('x-acgs-')) headers.delete(name);
    if (last.servedBy) headers.set('x-acgs-instance', last.servedBy);
    setMissing(headers, SECURITY_FIELDS);
  }
  if (incoming.proto === 'https') setMissing(headers, [['strict-transport-security', 'max-age=31536000']]);
  dropHopByHop(headers);
  headers.append('via', '1.1 acgs-lb');
  headers.set('x-request-id', incoming.requestId);
  if (last) headers.append('server-timing', `edge;dur=${tookMs - last.ms}, origin;dur=${last.ms}`);
  return response;
}

/** The runtime drops Keep-Alive, Transfer-Encoding and the like; what Connection names and these it leaves to us. */
function dropHopByHop(headers: Headers): void {
  const connection = headers.get('connection');
  if (connection !== null) {
    for (const listed of connection.split(',')) {
      const name = listed.trim().toLowerCase();
      if (/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name) && !NEVER_LISTED.has(name)) headers.delete(name);
    }
  }
  headers.delete('proxy-authenticate');
  headers.delete('proxy-connection');
}

const NEVER_LISTED: ReadonlySet<string> = new Set([
  'set-cookie',
  'content-type',
  'content-length',
  'cache-control',
]);

function setMissing(headers: Headers, fields: readonly (readonly [string, string])[]): void {
  for (const [name, value] of fields) if (!headers.has(name)) headers.set(name, value);
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
  if (!outcome.answer || outcome.answer.status >= 500) return null;
  return outcome.attempts.at(-1)?.servedBy ?? null;
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
  // Nobody reads it; 499 is what proxies log for a client that hung up.
  if (outcome.failure === 'gone') return new Response(null, { status: 499 });
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
  const detail =
    outcome.failure === 'shed'
      ? 'Too much is asked of this site: requests of this class are turned away for now.'
      : 'No instance of the service can answer now.';
  return problem({ title: 'Service Unavailable', status: 503, detail }, { ...headers, 'retry-after': '1' });
}

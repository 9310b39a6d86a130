import type { Edge } from '../edge.ts';
import { readBody } from '../io/request-body.ts';
import { unavailable, upstreamResponse } from './answer.ts';
import { sendAttempt } from './attempt.ts';
import { clientFailure } from './fail-over.ts';
import type { IncomingRequest } from './guard.ts';

/** HAProxy has its own timeouts; this one is for a host that does not answer at all. */
const TIMEOUT_MS = 75_000;

/** No snapshot was ever seen: the gateway routes, limits and balances by itself. */
export async function sendToFallback(incoming: IncomingRequest, edge: Edge): Promise<Response> {
  const origin = edge.settings.fallbackOrigin;
  const nothing = { attempts: [], picked: null, response: null, failure: 'no-instance' } as const;
  if (!origin) return unavailable(nothing, incoming);
  const body = await readBody(incoming.request);
  if (body.kind === 'broken') return unavailable({ ...nothing, failure: 'broken' }, incoming);
  // Without a site there is no gateway that a token could be for.
  const [site] = edge.settings.sites;
  const token = site === undefined ? null : await edge.gatewayTokens.tokenFor(site, edge.now());
  const tried = await sendAttempt(
    incoming,
    body,
    { route: { kind: 'gateway', origin }, candidate: null, token, timeoutMs: TIMEOUT_MS },
    edge,
  );
  const outcome = {
    attempts: [tried],
    picked: null,
    response: tried.response,
    failure: tried.response
      ? null
      : (clientFailure(tried, incoming, body) ?? (incoming.idempotent ? 'exhausted' : 'ambiguous')),
  } as const;
  return tried.response
    ? upstreamResponse(tried.response, outcome, incoming, [], edge.now() - incoming.startedAt)
    : unavailable(outcome, incoming);
}

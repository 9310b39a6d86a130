import { DEFAULT_HEADERS } from '../../shared/snapshot/snapshot.ts';
import type { Edge } from '../edge.ts';
import type { IncomingRequest } from '../incoming-request.ts';
import { readBody, untilSent } from '../io/request-body.ts';
import { upstreamResponse } from './answer.ts';
import { sendAttempt } from './attempt.ts';
import { failureResponse, tooManyRequests } from './error-responses.ts';
import { clientFailure } from './fail-over.ts';
import { missingSetUp, notSetUp } from './not-set-up.ts';

/** HAProxy has its own timeouts; this one is for a host that does not answer at all. */
const TIMEOUT_MS = 75_000;

/**
 * There is no snapshot: sends the request to FALLBACK_ORIGIN, a gateway that routes, checks access and balances by itself.
 * It does not count requests of the edge, so FALLBACK_LIMIT applies here.
 */
export async function sendToFallback(incoming: IncomingRequest, edge: Edge): Promise<Response> {
  const origin = edge.settings.fallbackOrigin;
  if (!origin) {
    const missing = missingSetUp(edge.settings);
    return missing ? notSetUp(incoming.request, missing) : failureResponse(incoming, 'no-instance', []);
  }
  const denied = edge.fallbackLimit.deniedBy(incoming);
  if (denied) return tooManyRequests(incoming, denied);
  const body = await readBody(incoming, edge);
  if (body.kind === 'failed') return failureResponse(incoming, body.failure, []);
  // A token is for the gateways of one site. The fallback belongs to the first one.
  const [site] = edge.settings.sites;
  const token = site === undefined ? null : await edge.gatewayTokens.tokenFor(site, edge.now());
  const spanId = edge.traceIds.span();
  const plan = {
    route: { kind: 'gateway', origin },
    site: null,
    candidate: null,
    spanId,
    token,
    wanted: DEFAULT_HEADERS,
    timeoutMs: TIMEOUT_MS,
  } as const;
  const attempt = await sendAttempt({ incoming, body, plan, edge });
  if (attempt.response) {
    const options = { incoming, headers: DEFAULT_HEADERS, added: [] };
    return upstreamResponse(untilSent(body, attempt.response), { attempts: [attempt] }, options);
  }
  const failure = clientFailure(attempt, incoming, body) ?? (incoming.idempotent ? 'exhausted' : 'ambiguous');
  return failureResponse(incoming, failure, [attempt]);
}

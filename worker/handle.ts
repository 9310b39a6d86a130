import { hostName, parseRequestUrl } from '../shared/request-url.ts';
import { adminEndpoint } from './admin-endpoints.ts';
import type { Edge } from './edge.ts';
import { hasForbiddenBody } from './incoming-request.ts';
import { ClientFields } from './io/client-fields.ts';
import type { RequestContext } from './request-context.ts';
import { answer } from './steps/answer.ts';
import * as errors from './steps/error-responses.ts';
import { failOver } from './steps/fail-over.ts';
import { sendToFallback } from './steps/fallback.ts';
import { guard } from './steps/guard.ts';
import { applyLimits } from './steps/limit.ts';
import { notSentOutcome } from './steps/not-sent.ts';
import { findPin } from './steps/pin.ts';
import { recordRequest, recordUnrouted } from './steps/record-request.ts';
import { currentView } from './steps/view.ts';

/**
 * One request: guard → route → access → limit → pin → send and fail over → answer → record. A step returns a promise only
 * when it has to wait: an `await` of a plain value costs every request one more turn of the event loop.
 */
export async function handle(request: Request, edge: Edge, ctx: ExecutionContext): Promise<Response> {
  const { headers } = request;
  const fields = new ClientFields(headers);
  const url = parseRequestUrl(request.url, fields.get('host'));
  if (!url) return errors.invalidTarget(edge.newRequestId());
  const admin = adminEndpoint(url, request, edge, ctx);
  if (admin !== null) return admin;

  const guarded = guard({ url, request, headers, fields }, edge, edge.now());
  if (!guarded.ok) return guarded.refusal;
  const { incoming } = guarded;
  edge.clockGuard.observe(incoming.startedAt, edge);
  if (hasForbiddenBody(incoming)) return errors.bodyRefused(incoming);
  if (incoming.isGrpc) return errors.grpcRefused(incoming);

  const loading = currentView(incoming, edge, ctx);
  const view = loading instanceof Promise ? await loading : loading;
  if (!view) return sendToFallback(incoming, edge);
  const service = view.route(hostName(incoming.host), incoming.path);
  if (!service) return recordUnrouted(incoming, edge, ctx);
  incoming.service = service.id;
  incoming.longLived = service.longLived.covers(incoming);
  const context: RequestContext = { incoming, view, service, edge, ctx };

  if (!service.access(incoming.path, incoming.clientAddress).allowed) {
    return recordRequest(context, { response: errors.forbidden(incoming), kind: 'forbidden' });
  }
  const limiting = applyLimits(context);
  const limits = limiting instanceof Promise ? await limiting : limiting;
  if (limits.violated.length > 0) {
    return recordRequest(context, {
      response: errors.tooManyRequests(incoming, limits),
      kind: 'limited',
      limitedBy: limits.violated,
    });
  }

  if (service.headers.rateLimit) incoming.rateLimitFields = limits.headers;

  const pinning = findPin(context);
  const session = pinning instanceof Promise ? await pinning : pinning;
  const outcome = notSentOutcome(context) ?? (await failOver(context, session));
  const answering = answer(context, { limits, session, outcome });
  const answered = answering instanceof Promise ? await answering : answering;
  return recordRequest(context, answered, outcome);
}

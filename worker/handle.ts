import type { Edge } from './edge.ts';
import { ownEndpoint } from './own-endpoints.ts';
import { problem } from './problem.ts';
import {
  answer,
  cookieFor,
  forbidden,
  notFound,
  tooManyRequests,
  unavailable,
  withLimitFields,
} from './steps/answer.ts';
import { failOver } from './steps/fail-over.ts';
import { guard } from './steps/guard.ts';
import { applyLimits } from './steps/limit.ts';
import { findPin } from './steps/pin.ts';
import { untargeted } from './steps/untargeted.ts';

/** One request, step by step. */
export async function handle(request: Request, edge: Edge, ctx: ExecutionContext): Promise<Response> {
  const now = edge.now();
  const own = ownEndpoint(request, edge, ctx);
  if (own) return own;

  const guarded = guard(request, edge, now);
  if (!guarded.ok) return problem({ title: 'Misconfigured edge', status: 500, detail: guarded.why });
  const { incoming } = guarded;

  if (edge.snapshots.isCheckDue(now)) {
    const check = edge.snapshots.check();
    if (edge.snapshots.view) ctx.waitUntil(check);
    else await check;
  } else if (!edge.snapshots.view) {
    // Another request is asking: this one asks for itself, what it waits for must not end with another's client.
    await edge.snapshots.check();
  }
  const { view } = edge.snapshots;
  if (!view) return untargeted(incoming, edge);

  const service = view.route(hostOnly(incoming.host), incoming.path);
  if (!service) return notFound(incoming);
  if (!service.access(incoming.path, incoming.client).allowed) return forbidden(incoming);

  const limited = applyLimits(incoming, service, edge, now);
  if (limited.violated.length > 0) return tooManyRequests(limited, incoming);

  const found = findPin(incoming, service, view, edge, now);
  const session = found instanceof Promise ? await found : found;
  const outcome = await failOver(incoming, service, session, edge);

  const response = outcome.answer
    ? answer(outcome.answer, outcome, incoming)
    : unavailable(outcome, incoming);
  if (response.status === 101) return response;
  withLimitFields(response, limited);
  const sealing = cookieFor(outcome, session, service, incoming, edge);
  const cookie = sealing instanceof Promise ? await sealing : sealing;
  if (cookie) response.headers.append('set-cookie', cookie);
  return response;
}

/** Without port; the runtime has lower-cased it. */
function hostOnly(host: string): string {
  const colon = host.lastIndexOf(':');
  return colon < 0 || host.endsWith(']') ? host : host.slice(0, colon);
}

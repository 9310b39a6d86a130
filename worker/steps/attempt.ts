import type { Candidate } from '../../shared/balance/candidate.ts';
import type { AttemptResult } from '../../shared/retry.ts';
import type { Edge } from '../edge.ts';
import { bodyInit, type RequestBody } from '../io/request-body.ts';
import { type IncomingRequest, watchClientDisconnect } from './guard.ts';

/** Where one try goes. */
export type Route = { kind: 'gateway'; origin: string } | { kind: 'direct'; origin: string };

export interface AttemptPlan {
  readonly route: Route;
  /** Null: untargeted, the gateway balances by itself. */
  readonly candidate: Candidate | null;
  readonly token: string | null;
  readonly timeoutMs: number;
}

export interface CompletedAttempt {
  readonly plan: AttemptPlan;
  readonly result: AttemptResult;
  readonly response: Response | null;
  /** Which instance answered: HAProxy's word where there is one, else the one asked. */
  readonly servedBy: string | null;
  readonly ms: number;
}

/** From then on it is worth looking whether the client still waits. */
const WATCH_CLIENT_AFTER_MS = 100;

/** Step 7. One request towards one instance, aborted when its headers take longer than `timeoutMs`. Never rejects. */
export async function sendAttempt(
  incoming: IncomingRequest,
  body: RequestBody,
  plan: AttemptPlan,
  { now, inFlight }: Pick<Edge, 'now' | 'inFlight'>,
  controller = new AbortController(),
): Promise<CompletedAttempt> {
  let timedOut = false;
  const giveUp = (): void => {
    timedOut = true;
    controller.abort();
  };
  const { timeoutMs } = plan;
  let timer =
    timeoutMs <= WATCH_CLIENT_AFTER_MS
      ? setTimeout(giveUp, timeoutMs)
      : setTimeout(() => {
          watchClientDisconnect(incoming);
          timer = setTimeout(giveUp, timeoutMs - WATCH_CLIENT_AFTER_MS);
        }, WATCH_CLIENT_AFTER_MS);
  const local = plan.candidate?.local;
  const startedAt = now();
  const started = local && inFlight.begin(local, timeoutMs, startedAt);
  incoming.abortCallbacks.push(() => {
    controller.abort();
    if (started) inFlight.end(started);
  });
  try {
    const response = await fetch(plan.route.origin + incoming.target, {
      method: incoming.method,
      headers: attemptHeaders(incoming, plan),
      body: bodyInit(body, () => controller.abort()),
      // A redirect is the client's to follow: following it here would carry its cookies to another host.
      redirect: 'manual',
      signal: controller.signal,
    });
    const isGateway = plan.route.kind === 'gateway';
    const result: AttemptResult = {
      kind: 'response',
      status: response.status,
      via: plan.route.kind,
      unsentMark:
        isGateway &&
        (response.status === 503 || response.status === 401) &&
        response.headers.get('x-acgs-unsent') === '1',
    };
    const named = isGateway ? response.headers.get('x-acgs-instance') : null;
    return { plan, result, response, servedBy: named ?? plan.candidate?.id ?? null, ms: now() - startedAt };
  } catch (error) {
    const result: AttemptResult = timedOut
      ? { kind: 'timeout' }
      : { kind: 'thrown', message: error instanceof Error ? error.message : String(error) };
    return { plan, result, response: null, servedBy: plan.candidate?.id ?? null, ms: now() - startedAt };
  } finally {
    clearTimeout(timer);
    if (started) inFlight.end(started);
  }
}

/** The gateway learns its target and the client, under a token; an instance is told nothing and must not see the token. */
function attemptHeaders(
  { headers, clientAddress: client }: IncomingRequest,
  { route: way, token, candidate }: AttemptPlan,
): Headers {
  if (way.kind === 'direct' || token === null) return headers;
  const addressed = new Headers(headers);
  addressed.set('x-acgs-edge', token);
  addressed.set('x-acgs-client', client);
  if (candidate) addressed.set('x-acgs-instance', candidate.id);
  return addressed;
}

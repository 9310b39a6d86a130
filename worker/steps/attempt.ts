import type { Candidate } from '../../shared/balance/candidate.ts';
import { errorMessage } from '../../shared/error-message.ts';
import type { AttemptResult } from '../../shared/retry.ts';
import type { Edge } from '../edge.ts';
import { bodyInit, type RequestBody } from '../io/request-body.ts';
import { type IncomingRequest, watchClientDisconnect } from './guard.ts';

/** How one attempt reaches an instance. `origin` is the gateway's or the instance's. */
export interface Route {
  readonly kind: 'gateway' | 'direct';
  readonly origin: string;
}

interface AttemptPlan {
  readonly route: Route;
  /** The instance to use. Null: the gateway balances by itself. */
  readonly candidate: Candidate | null;
  readonly token: string | null;
  /** Until the response headers. */
  readonly timeoutMs: number;
}

export interface CompletedAttempt {
  readonly plan: AttemptPlan;
  readonly result: AttemptResult;
  readonly response: Response | null;
  /** The id of the instance that answered: the one that HAProxy names, else the one in the plan. */
  readonly servedBy: string | null;
  readonly ms: number;
}

interface AttemptOptions {
  readonly incoming: IncomingRequest;
  readonly body: RequestBody;
  readonly plan: AttemptPlan;
  readonly edge: Pick<Edge, 'now' | 'inFlight'>;
  /** Aborts the attempt. */
  readonly controller?: AbortController;
}

const WATCH_CLIENT_AFTER_MS = 100;

/** Sends the request once. Aborts it when the response headers take longer than `timeoutMs`. Never rejects. */
export async function sendAttempt(options: AttemptOptions): Promise<CompletedAttempt> {
  const { incoming, body, plan, edge, controller = new AbortController() } = options;
  const timeout = startTimeout(incoming, plan.timeoutMs, controller);
  const local = plan.candidate?.local;
  const startedAt = edge.now();
  const inFlight = local && edge.inFlight.begin(local, plan.timeoutMs, startedAt);
  incoming.abortCallbacks.push(() => {
    controller.abort();
    if (inFlight) edge.inFlight.end(inFlight);
  });
  try {
    const response = await fetch(plan.route.origin + incoming.target, {
      method: incoming.method,
      headers: attemptHeaders(incoming, plan),
      body: bodyInit(body, () => controller.abort()),
      // The client follows redirects itself: following one here would send its cookies to another host.
      redirect: 'manual',
      signal: controller.signal,
    });
    const isGateway = plan.route.kind === 'gateway';
    const named = isGateway ? response.headers.get('x-acgs-instance') : null;
    return {
      plan,
      result: {
        kind: 'response',
        status: response.status,
        via: plan.route.kind,
        unsentMark: isGateway && hasUnsentMark(response),
        ...(isGateway && hasFinalMark(response) && { finalMark: true }),
      },
      response,
      servedBy: named ?? plan.candidate?.id ?? null,
      ms: edge.now() - startedAt,
    };
  } catch (error) {
    return {
      plan,
      result: timeout.timedOut ? { kind: 'timeout' } : { kind: 'thrown', message: errorMessage(error) },
      response: null,
      servedBy: plan.candidate?.id ?? null,
      ms: edge.now() - startedAt,
    };
  } finally {
    timeout.clear();
    if (inFlight) edge.inFlight.end(inFlight);
  }
}

/** Watches for a client that disconnects only once the attempt takes long: watching costs too much for every request. */
function startTimeout(incoming: IncomingRequest, timeoutMs: number, controller: AbortController) {
  const timeout = {
    timedOut: false,
    clear: () => clearTimeout(timer),
  };
  const abort = (): void => {
    timeout.timedOut = true;
    controller.abort();
  };
  let timer =
    timeoutMs <= WATCH_CLIENT_AFTER_MS
      ? setTimeout(abort, timeoutMs)
      : setTimeout(() => {
          watchClientDisconnect(incoming);
          timer = setTimeout(abort, timeoutMs - WATCH_CLIENT_AFTER_MS);
        }, WATCH_CLIENT_AFTER_MS);
  return timeout;
}

const hasUnsentMark = ({ status, headers }: Response): boolean =>
  (status === 503 || status === 401) && headers.get('x-acgs-unsent') === '1';

const hasFinalMark = ({ status, headers }: Response): boolean =>
  status === 502 && headers.get('x-acgs-final') === '1';

/**
 * A gateway learns the client's address, the service and the instance, with a token that proves they come from the edge. An instance
 * must not see the token.
 */
function attemptHeaders(
  { headers, clientAddress, service }: IncomingRequest,
  { route, token, candidate }: AttemptPlan,
): Headers {
  if (route.kind === 'direct' || token === null) return headers;
  const forGateway = new Headers(headers);
  forGateway.set('x-acgs-edge', token);
  forGateway.set('x-acgs-client', clientAddress);
  if (service !== null) forGateway.set('x-acgs-service', service);
  if (candidate) forGateway.set('x-acgs-instance', candidate.id);
  return forGateway;
}

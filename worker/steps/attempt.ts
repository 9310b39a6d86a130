import type { Candidate } from '../../shared/balance/candidate.ts';
import { errorMessage } from '../../shared/error-message.ts';
import { type AttemptResult, isFromPlatform } from '../../shared/retry.ts';
import type { SiteService } from '../../shared/view.ts';
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
  /** Null without a snapshot. */
  readonly site: SiteService | null;
  /** The instance to use. Null: the gateway picks. */
  readonly candidate: Candidate | null;
  /** The gateway trusts the edge and sets what a proxy adds, to the request and to the answer. */
  readonly enveloped: boolean;
  readonly headers: Headers;
  /** The span of the attempt. */
  readonly spanId: string;
  /** A copy, sent because an earlier attempt is late. */
  readonly hedge?: boolean;
  /** Until the response headers. */
  readonly timeoutMs: number;
}

export interface CompletedAttempt {
  readonly plan: AttemptPlan;
  readonly result: AttemptResult;
  readonly response: Response | null;
  /** The id of the instance that answered: the one that HAProxy names, else the one in the plan. */
  readonly servedBy: string | null;
  readonly startedAt: number;
  readonly ms: number;
}

export interface AttemptOptions {
  readonly incoming: IncomingRequest;
  readonly body: RequestBody;
  readonly plan: AttemptPlan;
  readonly edge: Pick<Edge, 'now' | 'inFlight' | 'settings' | 'upstreams'>;
  /** Aborts the attempt. */
  readonly controller?: AbortController;
  /** Called once when there is no response after `afterMs`. */
  readonly late?: { readonly afterMs: number; readonly onLate: () => void };
}

const WATCH_CLIENT_AFTER_MS = 100;

/** Sends the request once. Aborts it when the response headers take longer than `timeoutMs`. Never rejects. */
export async function sendAttempt(options: AttemptOptions): Promise<CompletedAttempt> {
  const { incoming, body, plan, edge, controller = new AbortController() } = options;
  const timeout = startTimeout(options, controller);
  const local = plan.candidate?.local;
  const startedAt = edge.now();
  const inFlight = local && edge.inFlight.begin(local, plan.timeoutMs, startedAt);
  incoming.abortCallbacks.push(() => {
    controller.abort();
    if (inFlight) edge.inFlight.end(inFlight);
  });
  try {
    const response = await edge.upstreams.fetch(
      gatewaySite(plan, edge),
      plan.route.origin + incoming.target,
      {
        method: incoming.method,
        headers: plan.headers,
        body: bodyInit(body, () => controller.abort()),
        // The client follows redirects itself: following one here would send its cookies to another host.
        redirect: 'manual',
        signal: controller.signal,
      },
    );
    const isGateway = plan.route.kind === 'gateway';
    return {
      plan,
      result: {
        kind: 'response',
        status: response.status,
        via: plan.route.kind,
        unsentMark: isGateway && hasUnsentMark(response),
        ...(isGateway && hasFullMark(response) && { fullMark: true }),
        ...(isGateway && hasFinalMark(response) && { finalMark: true }),
        ...(response.status >= 520 && { fromPlatform: fromPlatform(response, plan, edge.settings) }),
      },
      response,
      servedBy: isGateway ? servedThroughGateway(response, plan) : (plan.candidate?.id ?? null),
      startedAt,
      ms: edge.now() - startedAt,
    };
  } catch (error) {
    return {
      plan,
      result: timeout.timedOut ? { kind: 'timeout' } : { kind: 'thrown', message: errorMessage(error) },
      response: null,
      servedBy: plan.candidate?.id ?? null,
      startedAt,
      ms: edge.now() - startedAt,
    };
  } finally {
    timeout.clear();
    if (inFlight) edge.inFlight.end(inFlight);
  }
}

/** The site whose gateway gets the attempt; the fallback gateway belongs to the first one. */
const gatewaySite = (
  { route, site }: AttemptPlan,
  { settings }: Pick<Edge, 'settings'>,
): string | undefined => (route.kind === 'gateway' ? (site?.site ?? settings.sites[0]) : undefined);

/**
 * One timer in stages, which a fast request never reaches. First the client is watched, because from now on it may
 * disconnect; doing so from the start would cost too much. After the delay the attempt counts as late. At the timeout
 * it is aborted.
 */
function startTimeout({ incoming, plan, late }: AttemptOptions, controller: AbortController) {
  const { timeoutMs } = plan;
  const lateAfterMs = late && late.afterMs < timeoutMs ? late.afterMs : Number.POSITIVE_INFINITY;
  const watchAfterMs = Math.min(WATCH_CLIENT_AFTER_MS, lateAfterMs);
  const timeout = {
    timedOut: false,
    clear: () => clearTimeout(timer),
  };
  const abort = (): void => {
    timeout.timedOut = true;
    controller.abort();
  };
  const onLate = (): void => {
    timer = setTimeout(abort, timeoutMs - lateAfterMs);
    late?.onLate();
  };
  const watch = (): void => {
    watchClientDisconnect(incoming);
    if (lateAfterMs === watchAfterMs) onLate();
    else if (lateAfterMs < timeoutMs) timer = setTimeout(onLate, lateAfterMs - watchAfterMs);
    else timer = setTimeout(abort, timeoutMs - watchAfterMs);
  };
  let timer = timeoutMs <= watchAfterMs ? setTimeout(abort, timeoutMs) : setTimeout(watch, watchAfterMs);
  return timeout;
}

const fromPlatform = (
  { status, headers }: Response,
  { route }: AttemptPlan,
  { clientAddressSource }: Edge['settings'],
): boolean =>
  isFromPlatform(
    { status, instance: headers.get('x-acgs-instance') },
    { onCloudflare: clientAddressSource === 'cloudflare', via: route.kind },
  );

const hasUnsentMark = ({ status, headers }: Response): boolean =>
  (status === 503 || status === 401) && headers.get('x-acgs-unsent') === '1';

const hasFullMark = ({ status, headers }: Response): boolean =>
  status === 503 && headers.get('x-acgs-full') === '1';

const hasFinalMark = ({ status, headers }: Response): boolean =>
  status === 502 && headers.get('x-acgs-final') === '1';

/**
 * HAProxy names the instance whose answer it passes on. Its own 503 means that no instance took the request: the queue was
 * full, or no connection succeeded. Its other errors come from the instance that the edge named.
 */
function servedThroughGateway({ status, headers }: Response, { candidate }: AttemptPlan): string | null {
  return headers.get('x-acgs-instance') ?? (status === 503 ? null : (candidate?.id ?? null));
}

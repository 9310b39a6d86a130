import type { Candidate } from '../../shared/balance/candidate.ts';
import { errorMessage } from '../../shared/error-message.ts';
import { type AttemptResult, isFromPlatform } from '../../shared/retry.ts';
import type { SnapshotHeaders } from '../../shared/snapshot/snapshot.ts';
import type { SiteService } from '../../shared/view.ts';
import type { Edge } from '../edge.ts';
import { type IncomingRequest, watchClientDisconnect } from '../incoming-request.ts';
import { bodyInit, type RequestBody, timesOutAt } from '../io/request-body.ts';
import { addEnvelope, addProxyFields } from './upstream-headers.ts';

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
  /** With a token, the gateway adds the fields of a proxy to the request and the answer. Null: the edge adds them. */
  readonly token: string | null;
  readonly wanted: SnapshotHeaders;
  /** The span of the attempt. */
  readonly spanId: string;
  /** A copy, sent because an earlier attempt is late. */
  readonly hedge?: boolean;
  /** Until the response headers. The time in which a long body is sent does not count. */
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

/** The status of the response; null without one. Reading it from the response would be a call into the runtime. */
export const statusOf = (attempt: CompletedAttempt | undefined): number | null =>
  attempt?.result.kind === 'response' ? attempt.result.status : null;

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
  const { incoming, plan, edge, controller = new AbortController() } = options;
  const startedAt = edge.now();
  const timeout = startTimeout(options, controller, startedAt);
  // A held answer does not count as load.
  const local = incoming.longLived ? undefined : plan.candidate?.local;
  const inFlight = local && edge.inFlight.begin(local, plan.timeoutMs, startedAt);
  incoming.abortCallbacks.push(() => {
    controller.abort();
    if (inFlight) edge.inFlight.end(inFlight);
  });
  try {
    const response = await edge.upstreams.fetch(gatewaySite(plan, edge), newRequest(options, controller));
    // Read once, because each read is a call into the runtime.
    const { status, headers } = response;
    return {
      plan,
      result: resultOf(status, headers, plan, edge.settings),
      response,
      servedBy: servedBy(headers, status, plan),
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

/** Lets the runtime copy all fields of the client at once, because copying them one by one would cost much more. */
function newRequest({ incoming, body, plan, edge }: AttemptOptions, controller: AbortController): Request {
  const { token, spanId, candidate, wanted } = plan;
  const request = edge.upstreams.newRequest(plan.route.origin + incoming.target, {
    method: incoming.method,
    headers: incoming.headers,
    body: bodyInit(body, () => controller.abort()),
    // The client follows redirects itself: following one here would send its cookies to another host.
    redirect: 'manual',
    signal: controller.signal,
  });
  const { headers } = request;
  for (const name of incoming.droppedFields) headers.delete(name);
  if (token !== null) {
    addEnvelope(headers, incoming, { token, spanId, target: candidate?.id ?? null });
    return request;
  }
  addProxyFields(headers, incoming, { spanId, wanted });
  // Without a snapshot the edge cannot check access rules, and this gateway sees the edge's address as the client's.
  if (plan.site === null) headers.set('x-acgs-fallback', '1');
  return request;
}

/** The site whose gateway gets the attempt. The fallback gateway belongs to the first site. */
const gatewaySite = (
  { route, site }: AttemptPlan,
  { settings }: Pick<Edge, 'settings'>,
): string | undefined => (route.kind === 'gateway' ? (site?.site ?? settings.sites[0]) : undefined);

/**
 * One timer in stages, which a fast request never reaches. First the client is watched, because from now on it may
 * disconnect; doing so from the start would cost too much. After the delay the attempt counts as late. At the timeout
 * it is aborted.
 */
function startTimeout(
  { incoming, body, plan, late, edge }: AttemptOptions,
  controller: AbortController,
  startedAt: number,
) {
  const { timeoutMs } = plan;
  const lateAfterMs = late && late.afterMs < timeoutMs ? late.afterMs : Number.POSITIVE_INFINITY;
  const watchAfterMs = Math.min(WATCH_CLIENT_AFTER_MS, lateAfterMs, timeoutMs);
  let isOver = false;
  let isWatching = false;
  const timeout = {
    timedOut: false,
    // The first timer may still fire soon, but then does nothing. Clearing it would cost time in every request.
    clear: (): void => {
      isOver = true;
      if (isWatching) clearTimeout(timer);
    },
  };
  const abort = (): void => {
    const leftMs = timesOutAt(body, startedAt, timeoutMs) - edge.now();
    if (body.kind === 'stream' && leftMs > 0) {
      timer = setTimeout(abort, leftMs);
      return;
    }
    timeout.timedOut = true;
    controller.abort();
  };
  const onLate = (): void => {
    timer = setTimeout(abort, timeoutMs - lateAfterMs);
    late?.onLate();
  };
  const watch = (): void => {
    if (isOver) return;
    if (watchAfterMs === timeoutMs) {
      abort();
      return;
    }
    isWatching = true;
    watchClientDisconnect(incoming);
    if (lateAfterMs === watchAfterMs) onLate();
    else if (lateAfterMs < timeoutMs) timer = setTimeout(onLate, lateAfterMs - watchAfterMs);
    else timer = setTimeout(abort, timeoutMs - watchAfterMs);
  };
  let timer = setTimeout(watch, watchAfterMs);
  return timeout;
}

type ResponseResult = Extract<AttemptResult, { kind: 'response' }>;

/** Only a gateway can set marks. */
function resultOf(
  status: number,
  headers: Headers,
  { route }: AttemptPlan,
  { clientAddressSource }: Edge['settings'],
): ResponseResult {
  const via = route.kind;
  if (status < 400) return { kind: 'response', status, via, unsentMark: false };
  const hasMark = (name: string): boolean => via === 'gateway' && headers.get(name) === '1';
  const instance = headers.get('x-acgs-instance');
  const onCloudflare = clientAddressSource === 'cloudflare';
  return {
    kind: 'response',
    status,
    via,
    unsentMark: (status === 503 || status === 401) && hasMark('x-acgs-unsent'),
    ...(status === 503 && hasMark('x-acgs-full') && { fullMark: true }),
    ...(status === 503 && hasMark('x-acgs-exhausted') && { exhaustedMark: true }),
    ...(status === 502 && hasMark('x-acgs-final') && { finalMark: true }),
    ...(status >= 520 && { fromPlatform: isFromPlatform({ status, instance }, { onCloudflare, via }) }),
  };
}

/**
 * HAProxy names the instance whose answer it passes on. Its own 503 means that no instance took the request: the queue
 * was full, or no connection succeeded. Its other errors come from the instance that the edge named.
 */
function servedBy(headers: Headers, status: number, { candidate, route }: AttemptPlan): string | null {
  if (route.kind === 'direct') return candidate?.id ?? null;
  return headers.get('x-acgs-instance') ?? (status === 503 ? null : (candidate?.id ?? null));
}

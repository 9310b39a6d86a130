import type { Candidate } from '../../shared/balance/candidate.ts';
import type { TryResult } from '../../shared/retry.ts';
import type { Edge } from '../edge.ts';
import { type Body, bodyInit } from '../io/body.ts';
import { type Incoming, watchClient } from './guard.ts';

/** Where one try goes. */
export type Way = { kind: 'gateway'; origin: string } | { kind: 'direct'; origin: string };

export interface AttemptPlan {
  readonly way: Way;
  /** Null: untargeted, the gateway balances by itself. */
  readonly candidate: Candidate | null;
  readonly token: string | null;
  readonly timeoutMs: number;
}

export interface Attempted {
  readonly plan: AttemptPlan;
  readonly result: TryResult;
  readonly response: Response | null;
  /** Which instance answered: HAProxy's word where there is one, else the one asked. */
  readonly servedBy: string | null;
  readonly ms: number;
}

/** From then on it is worth looking whether the client still waits. */
const LONG_MS = 100;

/** Step 7. One request towards one instance, aborted when its headers take longer than `timeoutMs`. Never rejects. */
export async function attempt(
  incoming: Incoming,
  body: Body,
  plan: AttemptPlan,
  { now, inFlight }: Pick<Edge, 'now' | 'inFlight'>,
  controller = new AbortController(),
): Promise<Attempted> {
  let timedOut = false;
  const giveUp = (): void => {
    timedOut = true;
    controller.abort();
  };
  const { timeoutMs } = plan;
  let timer =
    timeoutMs <= LONG_MS
      ? setTimeout(giveUp, timeoutMs)
      : setTimeout(() => {
          watchClient(incoming);
          timer = setTimeout(giveUp, timeoutMs - LONG_MS);
        }, LONG_MS);
  const local = plan.candidate?.local;
  const startedAt = now();
  const started = local && inFlight.begin(local, timeoutMs, startedAt);
  incoming.running.push(() => {
    controller.abort();
    if (started) inFlight.end(started);
  });
  try {
    const response = await fetch(plan.way.origin + incoming.target, {
      method: incoming.method,
      headers: address(incoming, plan),
      body: bodyInit(body, () => controller.abort()),
      // A redirect is the client's to follow: following it here would carry its cookies to another host.
      redirect: 'manual',
      signal: controller.signal,
    });
    const isGateway = plan.way.kind === 'gateway';
    const result: TryResult = {
      kind: 'response',
      status: response.status,
      via: plan.way.kind,
      unsentMark:
        isGateway &&
        (response.status === 503 || response.status === 401) &&
        response.headers.get('x-acgs-unsent') === '1',
    };
    const named = isGateway ? response.headers.get('x-acgs-instance') : null;
    return { plan, result, response, servedBy: named ?? plan.candidate?.id ?? null, ms: now() - startedAt };
  } catch (error) {
    const result: TryResult = timedOut
      ? { kind: 'timeout' }
      : { kind: 'thrown', message: error instanceof Error ? error.message : String(error) };
    return { plan, result, response: null, servedBy: plan.candidate?.id ?? null, ms: now() - startedAt };
  } finally {
    clearTimeout(timer);
    if (started) inFlight.end(started);
  }
}

/** The gateway learns its target and the client, under a token; an instance is told nothing and must not see the token. */
function address({ headers, client }: Incoming, { way, token, candidate }: AttemptPlan): Headers {
  if (way.kind === 'direct' || token === null) return headers;
  const addressed = new Headers(headers);
  addressed.set('x-acgs-edge', token);
  addressed.set('x-acgs-client', client);
  if (candidate) addressed.set('x-acgs-instance', candidate.id);
  return addressed;
}

import type { Edge } from '../edge.ts';
import { readBody } from '../io/body.ts';
import { answer, unavailable } from './answer.ts';
import { attempt } from './attempt.ts';
import { clientFailure } from './fail-over.ts';
import type { Incoming } from './guard.ts';

/** HAProxy has its own timeouts; this one is for a host that does not answer at all. */
const TIMEOUT_MS = 75_000;

/** No snapshot was ever seen: the gateway routes, limits and balances by itself. */
export async function untargeted(incoming: Incoming, edge: Edge): Promise<Response> {
  const origin = edge.settings.fallbackOrigin;
  const nothing = { attempts: [], picked: null, answer: null, failure: 'no-instance' } as const;
  if (!origin) return unavailable(nothing, incoming);
  const body = await readBody(incoming.request);
  if (body.kind === 'broken') return unavailable({ ...nothing, failure: 'broken' }, incoming);
  // Without a site there is no gateway that a token could be for.
  const [site] = edge.settings.sites;
  const token = site === undefined ? null : await edge.tokens.current(site, edge.now());
  const tried = await attempt(
    incoming,
    body,
    { way: { kind: 'gateway', origin }, candidate: null, token, timeoutMs: TIMEOUT_MS },
    edge,
  );
  const outcome = {
    attempts: [tried],
    picked: null,
    answer: tried.response,
    failure: tried.response
      ? null
      : (clientFailure(tried, incoming, body) ?? (incoming.idempotent ? 'exhausted' : 'ambiguous')),
  } as const;
  return tried.response
    ? answer(tried.response, outcome, incoming, [], edge.now() - incoming.startedAt)
    : unavailable(outcome, incoming);
}

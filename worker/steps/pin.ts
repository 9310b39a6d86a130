import type { AffinityPins } from '../../shared/affinity/pins.ts';
import type { Candidate } from '../../shared/balance/candidate.ts';
import { isEjected } from '../../shared/ejection.ts';
import type { ServiceView } from '../../shared/view.ts';
import type { RequestContext } from '../request-context.ts';

/** The session that a request belongs to, and its instance. */
export interface AffinitySession {
  readonly by: 'none' | 'cookie' | 'governance' | 'header' | 'ip';
  /** The placement is computed from it. Null for a cookie, which names its instance. */
  readonly id: string | null;
  /** The pins in a valid cookie, for all services. */
  readonly pins: AffinityPins | null;
  /** Null when there is no pin, or when its instance cannot take requests. */
  readonly instance: Candidate | null;
}

const NO_SESSION: AffinitySession = { by: 'none', id: null, pins: null, instance: null };
const NEW_COOKIE_SESSION: AffinitySession = { by: 'cookie', id: null, pins: null, instance: null };

/** Finds the session's instance. An unusable pin is not an error: a new instance is picked. */
export function findPin(context: RequestContext): AffinitySession | Promise<AffinitySession> {
  const { incoming, service, edge } = context;
  const { by, header } = service.policy.affinity;
  if (by === 'none') return NO_SESSION;
  if (incoming.governanceSessionId) return placedSession(context, 'governance', incoming.governanceSessionId);
  if (by === 'ip') return placedSession(context, 'ip', incoming.clientKey);
  if (by === 'header') {
    const id = header ? incoming.fields.get(header) : null;
    return id ? placedSession(context, 'header', id) : NO_SESSION;
  }
  if (!incoming.cookieHeader) return NEW_COOKIE_SESSION;
  const now = incoming.startedAt;
  const opening = edge.affinityCookies.open(incoming.cookieHeader, now);
  if (opening instanceof Promise) return opening.then((pins) => cookieSession(pins, service, now));
  return cookieSession(opening, service, now);
}

function placedSession(
  { incoming, service, view }: RequestContext,
  by: 'governance' | 'header' | 'ip',
  id: string,
): AffinitySession {
  const now = incoming.startedAt;
  const key = view.pins.get(id)?.[service.id];
  const pinned = key === undefined ? undefined : service.byKey.get(key);
  const instance = pinned && canKeepSession(pinned, now) ? pinned : service.sessions(id, now);
  return { by, id, pins: null, instance };
}

function cookieSession(pins: AffinityPins | null, service: ServiceView, now: number): AffinitySession {
  const key = pins?.instances[service.id];
  const pinned = key === undefined ? undefined : service.byKey.get(key);
  return { by: 'cookie', id: null, pins, instance: pinned && canKeepSession(pinned, now) ? pinned : null };
}

/** A draining instance keeps the sessions it has. */
const canKeepSession = (candidate: Candidate, now: number): boolean =>
  candidate.state !== 'down' && !isEjected(candidate.local.ejection, now);

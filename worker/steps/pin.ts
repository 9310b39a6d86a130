import type { AffinityPins } from '../../shared/affinity/pins.ts';
import type { Candidate } from '../../shared/balance/candidate.ts';
import { isEjected } from '../../shared/ejection.ts';
import type { ServiceView, View } from '../../shared/view.ts';
import type { Edge } from '../edge.ts';
import type { IncomingRequest } from './guard.ts';

/** The session a request belongs to, and the instance that holds it. */
export interface AffinitySession {
  readonly by: 'none' | 'cookie' | 'governance' | 'header' | 'ip';
  /** What the placement is computed from; null for a cookie, which names its instance. */
  readonly id: string | null;
  /** What the cookie said, all services; null without a valid one. */
  readonly pins: AffinityPins | null;
  /** The instance to stay with; null when there is none, or it can take nothing. */
  readonly instance: Candidate | null;
}

const NO_SESSION: AffinitySession = { by: 'none', id: null, pins: null, instance: null };

/** Step 5. Where the session's state is. A pin that cannot be used is no error: picking finds a new one. */
export function findPin(
  incoming: IncomingRequest,
  service: ServiceView,
  view: View,
  edge: Edge,
  now: number,
): AffinitySession | Promise<AffinitySession> {
  const { by, header } = service.policy.affinity;
  if (by === 'none') return NO_SESSION;
  if (incoming.governanceSessionId)
    return placedSession('governance', incoming.governanceSessionId, service, view, now);
  if (by === 'cookie') {
    if (!incoming.cookieHeader) return { by: 'cookie', id: null, pins: null, instance: null };
    const pins = edge.affinityCookies.open(incoming.cookieHeader, now);
    if (pins instanceof Promise) return pins.then((opened) => cookieSession(opened, service, now));
    return cookieSession(pins, service, now);
  }
  if (by === 'ip') return placedSession('ip', incoming.clientKey, service, view, now);
  const id = header ? incoming.request.headers.get(header) : null;
  return id ? placedSession('header', id, service, view, now) : NO_SESSION;
}

function placedSession(
  by: 'governance' | 'header' | 'ip',
  id: string,
  service: ServiceView,
  view: View,
  now: number,
): AffinitySession {
  const moved = view.pins.get(id)?.[service.id];
  const recorded = moved ? service.byKey.get(moved) : undefined;
  const instance = recorded && canKeepSession(recorded, now) ? recorded : service.sessions(id, now);
  return { by, id, pins: null, instance };
}

function cookieSession(pins: AffinityPins | null, service: ServiceView, now: number): AffinitySession {
  const id = pins?.instances[service.id];
  const pinned = id === undefined ? undefined : service.byKey.get(id);
  return { by: 'cookie', id: null, pins, instance: pinned && canKeepSession(pinned, now) ? pinned : null };
}

/** A draining instance keeps the sessions it has. */
const canKeepSession = (candidate: Candidate, now: number): boolean =>
  candidate.state !== 'down' && !isEjected(candidate.local.ejection, now);

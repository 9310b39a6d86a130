import { compileSessionPlacer } from '../../shared/affinity/session-placement.ts';
import { type Candidate, newIsolateState, toCandidate } from '../../shared/balance/candidate.ts';
import type { SnapshotPins } from '../../shared/snapshot/snapshot.ts';
import type { Instance } from '../core/state.ts';
import type { PinMove } from './session.ts';

/** Where the edge sends a session: computed from the same instances by the same code. */
export interface Placement {
  /** The instance for a session by its id alone; null when no instance can take it. */
  instanceFor(session: string, service: string): string | null;
  /** Whether a session may stay on the instance: it serves, or it drains and keeps its sessions. */
  canHold(service: string, instance: string): boolean;
  services: readonly string[];
}

export function createPlacement(instances: Iterable<Instance>, now: number): Placement {
  const byService = new Map<string, Candidate[]>();
  for (const instance of instances) {
    const list = byService.get(instance.service) ?? [];
    list.push(candidate(instance));
    byService.set(instance.service, list);
  }
  const places = new Map([...byService].map(([service, list]) => [service, compileSessionPlacer(list)]));
  return {
    services: [...byService.keys()],
    instanceFor: (session, service) => places.get(service)?.(session, now)?.id ?? null,
    canHold: (service, instance) =>
      byService.get(service)?.some(({ id, state }) => id === instance && state !== 'down') ?? false,
  };
}

function candidate(instance: Instance): Candidate {
  const { id, service, url, state, reason, breaker, weight, priority, since, servingSince, admin } = instance;
  const asSnapshot = {
    id,
    url,
    state,
    reason,
    breaker,
    weight,
    priority,
    since,
    ...(servingSince === undefined ? {} : { servingSince }),
    ...(admin === 'ready' ? {} : { admin }),
  };
  return toCandidate(asSnapshot, { service, site: '', direct: null }, newIsolateState());
}

/** The pins that a session should have now. A pin moves only when its instance no longer serves; `moves` lists those. */
export function placePins(
  session: string,
  pins: Readonly<Record<string, string>>,
  placement: Placement,
  now: number,
): { pins: Record<string, string>; moves: PinMove[]; changed: boolean } {
  const next = { ...pins };
  const moves: PinMove[] = [];
  for (const service of placement.services) {
    const from = pins[service];
    if (from !== undefined && placement.canHold(service, from)) continue;
    const to = placement.instanceFor(session, service);
    // No other instance: the pin waits for its own.
    if (to === null || to === from) continue;
    next[service] = to;
    if (from !== undefined) moves.push({ at: now, service, from, to, reason: `${from} no longer serves` });
  }
  return { pins: next, moves, changed: Object.keys(next).some((service) => next[service] !== pins[service]) };
}

/** Pins that the edge cannot derive from the session id: the snapshot carries them, for the newest `limit` sessions. */
export function pinOverrides(
  sessions: Iterable<{ id: string; pins: Readonly<Record<string, string>> }>,
  placement: Placement,
  limit: number,
): SnapshotPins {
  const found: [string, Record<string, string>][] = [];
  for (const { id, pins } of sessions) {
    const differing = Object.entries(pins).filter(
      ([service, instance]) =>
        placement.canHold(service, instance) && placement.instanceFor(id, service) !== instance,
    );
    if (differing.length > 0) found.push([id, Object.fromEntries(differing)]);
  }
  return Object.fromEntries(found.slice(-limit));
}

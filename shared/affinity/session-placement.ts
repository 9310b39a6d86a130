import { type Candidate, isServing } from '../balance/candidate.ts';
import { rendezvous } from '../balance/consistent-hash.ts';
import { isEjected } from '../ejection.ts';
import { hashText } from '../hash.ts';
import { uuid7Time } from './uuid7.ts';

/** Finds the instance of a session by its id; null when no instance may take it. */
export type SessionPlacer = (session: string, now: number, tried?: readonly Candidate[]) => Candidate | null;

/**
 * Places sessions by their id and the snapshot alone, so that all isolates agree without a lookup. Sessions by cookie
 * carry their instance (worker/steps/pin.ts).
 *
 * A governance session id (UUIDv7) contains the start time of the session. Only instances that have served since before
 * that time are candidates. When the instance goes down, the session moves; when the instance returns, the session does
 * not, because the instance serves only since a later time. Any other id is hashed over all serving instances, and
 * returns when its instance returns.
 */
export function compileSessionPlacer(candidates: readonly Candidate[]): SessionPlacer {
  const place = rendezvous(candidates.map((candidate) => ({ candidate, weight: candidate.weight })));
  return (session, now, tried = []) => {
    const keyHash = hashText(session);
    const out = (one: Candidate): boolean => tried.includes(one) || isEjected(one.local.ejection, now);
    const began = uuid7Time(session);
    const own = began === null ? null : place(keyHash, (one) => out(one) || !mayHold(one, began));
    return own ?? place(keyHash, (one) => out(one) || !isServing(one));
  };
}

/** A draining instance keeps the sessions that began before the drain. */
function mayHold(candidate: Candidate, began: number): boolean {
  if (candidate.state === 'draining') {
    const servingBefore = candidate.servingSince < candidate.since ? candidate.servingSince : 0;
    return began >= servingBefore && began < candidate.since;
  }
  return isServing(candidate) && candidate.servingSince <= began;
}

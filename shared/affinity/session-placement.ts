import { type Candidate, isServing } from '../balance/candidate.ts';
import { rendezvous } from '../balance/consistent-hash.ts';
import { isEjected } from '../ejection.ts';
import { hashText } from '../hash.ts';
import { uuid7Time } from './uuid7.ts';

/** Finds the instance of a session, given its id; null when none may take it. */
export type SessionPlacer = (session: string, now: number, tried?: readonly Candidate[]) => Candidate | null;

/**
 * The instance of a session, from its id and the snapshot alone: every isolate agrees with no look-up.
 *
 * A governance id (UUIDv7) tells when the session began. Only instances that have served since before that count, so
 * when its instance dies the session moves, and stays moved when that instance comes back: it serves only since later.
 * Any other id is hashed over all that serve; it returns when its instance does.
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

/** A draining instance holds what began before the drain did. */
function mayHold(candidate: Candidate, began: number): boolean {
  if (candidate.state === 'draining') {
    const servingBefore = candidate.servingSince < candidate.since ? candidate.servingSince : 0;
    return began >= servingBefore && began < candidate.since;
  }
  return isServing(candidate) && candidate.servingSince <= began;
}

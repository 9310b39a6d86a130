import type { InstanceState } from '../../shared/snapshot/snapshot.ts';
import { releaseAt } from './flap.ts';
import type { Record } from './record.ts';

export interface Verdict {
  state: InstanceState;
  /** For a person; holds no countdown, so that it stays true until something happens. */
  reason: string;
}

/**
 * What traffic obeys. Operator beats breaker beats health: the first of them that has something to say is the reason.
 * A drain asks for less traffic, never for more: a draining instance that is dead is down.
 */
export function decide(record: Record, slowStartMs: number, now: number): Verdict {
  const { instance, tally, breaker, flap, provedAt } = record;
  if (instance.admin === 'maint') return { state: 'down', reason: 'maintenance asked for by an operator' };

  const own = judged();
  if (instance.admin === 'drain') {
    return own.state === 'down'
      ? { state: 'down', reason: `draining, and ${own.reason}` }
      : { state: 'draining', reason: `drain asked for by an operator${until(instance.drainDeadline)}` };
  }
  return own;

  function judged(): Verdict {
    if (breaker.state === 'open') {
      return { state: 'down', reason: `breaker open: ${breaker.why}; trial${at(breaker.until)}` };
    }
    if (tally.health !== 'up') return { state: 'down', reason: tally.because };
    if (flap.heldSince !== null) {
      return { state: 'down', reason: `held back after ${flap.falls} falls${until(releaseAt(flap))}` };
    }
    if (breaker.state === 'half_open') {
      return { state: 'probation', reason: 'breaker half-open: a few calls on trial' };
    }
    if (provedAt !== null && now < provedAt + slowStartMs) {
      return { state: 'probation', reason: `${tally.because}; slow start${until(provedAt + slowStartMs)}` };
    }
    return { state: 'up', reason: tally.because };
  }
}

const clock = (instant: number): string => new Date(instant).toISOString().slice(11, 19);
const at = (instant: number): string => ` at ${clock(instant)}Z`;
const until = (instant: number | undefined): string =>
  instant === undefined ? '' : ` until ${clock(instant)}Z`;

import type { InstanceState } from '../../shared/snapshot/snapshot.ts';
import { suppressedUntil } from './flap.ts';
import type { InstanceRecord } from './instance-record.ts';

export interface Verdict {
  state: InstanceState;
  /** For a person; holds no countdown, so that it stays true until something happens. */
  reason: string;
}

export interface DecisionContext {
  now: number;
  slowStartMs: number;
  /** Asked only when it matters: it looks at every other instance. */
  isLastServing(): boolean;
}

/**
 * What traffic obeys. Operator beats breaker beats health: the first of them that has something to say is the reason.
 *
 * A drain asks for less traffic, never for more: a draining instance that is dead is down. And what traffic or history
 * holds against an instance (breaker, flapping) never takes the last one of a service away while it answers its
 * probes: a bad instance is better than none.
 */
export function decide(record: InstanceRecord, circumstances: DecisionContext): Verdict {
  const { instance } = record;
  if (instance.admin === 'maint') return { state: 'down', reason: 'maintenance asked for by an operator' };
  const own = automaticVerdict(record, circumstances);
  if (instance.admin === 'ready') return own;
  return own.state === 'down'
    ? { state: 'down', reason: `${own.reason} (a drain is asked for as well)` }
    : { state: 'draining', reason: `drain asked for by an operator${until(instance.drainDeadline)}` };
}

function automaticVerdict(
  record: InstanceRecord,
  { now, slowStartMs, isLastServing }: DecisionContext,
): Verdict {
  const { tally, breaker, flap, provedAt } = record;
  const spare = (reason: string): Verdict =>
    tally.health === 'up' && isLastServing()
      ? { state: 'probation', reason: `${reason}; kept in service, no other instance is up` }
      : { state: 'down', reason };

  if (breaker.state === 'open')
    return spare(`breaker open: ${breaker.why}; trial at ${clock(breaker.until)}`);
  if (tally.health !== 'up') return { state: 'down', reason: tally.because };
  if (flap.heldSince !== null)
    return spare(`held back after ${flap.falls} falls${until(suppressedUntil(flap))}`);
  if (breaker.state === 'half_open') {
    return { state: 'probation', reason: 'breaker half-open: a few calls on trial' };
  }
  // Not when the clock was set back to long before the proof.
  if (provedAt !== null && Math.abs(now - provedAt) < slowStartMs) {
    return { state: 'probation', reason: `${tally.because}; slow start${until(provedAt + slowStartMs)}` };
  }
  return { state: 'up', reason: tally.because };
}

const clock = (instant: number): string => `${new Date(instant).toISOString().slice(11, 19)}Z`;
const until = (instant: number | undefined): string =>
  instant === undefined ? '' : ` until ${clock(instant)}`;

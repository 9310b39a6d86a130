import { elapsedMs } from '../../shared/elapsed.ts';
import type { InstanceState } from '../../shared/snapshot/snapshot.ts';
import { suppressedUntil } from './flap.ts';
import type { InstanceRecord } from './instance-record.ts';
import { outlierReason } from './outlier/outlier.ts';

export interface Verdict {
  state: InstanceState;
  /** A text for people, without a countdown, so that it changes only with the facts. */
  reason: string;
}

export interface DecisionContext {
  now: number;
  slowStartMs: number;
  /** Called only when needed, because it reads every other instance. */
  isLastServing(): boolean;
}

/**
 * Decides the state that traffic obeys. The operator overrides the breaker, and the breaker overrides health. The reason
 * comes from the one that decides.
 *
 * A drain never makes a dead instance draining: it stays down. An open breaker or flapping keeps the last serving
 * instance of a service in service as long as it passes its probes.
 */
export function decide(record: InstanceRecord, circumstances: DecisionContext): Verdict {
  const { instance } = record;
  if (instance.admin === 'maint') return { state: 'down', reason: 'maintenance requested by an operator' };
  const verdict = automaticVerdict(record, circumstances);
  if (instance.admin === 'ready') return verdict;
  return verdict.state === 'down'
    ? { state: 'down', reason: `${verdict.reason} (a drain is also requested)` }
    : { state: 'draining', reason: `drain requested${until(instance.drainDeadline)}` };
}

function automaticVerdict(
  record: InstanceRecord,
  { now, slowStartMs, isLastServing }: DecisionContext,
): Verdict {
  const { tally, breaker, flap, outlier, provedAt, instance } = record;
  const downUnlessLast = (reason: string): Verdict =>
    tally.health === 'up' && isLastServing()
      ? { state: 'probation', reason: `${reason}; kept in service, no other instance is up` }
      : { state: 'down', reason };

  if (breaker.state === 'open')
    return downUnlessLast(`breaker open: ${breaker.why}; trial at ${clock(breaker.until)}`);
  if (tally.health !== 'up') return { state: 'down', reason: tally.because };
  if (outlier.state === 'ejected')
    return downUnlessLast(`outlier: ${outlierReason(outlier)}; back at ${clock(outlier.until)}`);
  if (flap.heldSince !== null)
    return downUnlessLast(`flapping: held down after ${flap.falls} falls${until(suppressedUntil(flap))}`);
  if (breaker.state === 'half_open') {
    return { state: 'probation', reason: 'breaker half-open: trial calls are admitted' };
  }
  if (provedAt !== null && elapsedMs(provedAt, now) < slowStartMs) {
    return { state: 'probation', reason: `${tally.because}; slow start${until(provedAt + slowStartMs)}` };
  }
  if (instance.outlier && outlier.state === 'reduced') {
    const share = Math.round(instance.outlier.share * 100);
    return { state: 'up', reason: `${outlierReason(instance.outlier)}; gets ${share} % of its share` };
  }
  return { state: 'up', reason: tally.because };
}

const clock = (instant: number): string => `${new Date(instant).toISOString().slice(11, 19)}Z`;
const until = (instant: number | undefined): string =>
  instant === undefined ? '' : ` until ${clock(instant)}`;

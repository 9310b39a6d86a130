import type { EdgeTraceAttempt } from '../../shared/edge-trace.ts';
import type { CompletedAttempt } from './attempt.ts';
import type { FailoverOutcome } from './failover-context.ts';
import type { PendingAttempt } from './hedge.ts';

const MAX_ERROR = 200;

/** The attempts of a request, in the order of their start. `endedAt`: when the request ended, epoch milliseconds. */
export const describeAttempts = (
  { attempts, cancelled }: Pick<FailoverOutcome, 'attempts' | 'cancelled'>,
  endedAt: number,
): EdgeTraceAttempt[] =>
  [...attempts.map(describeAttempt), ...cancelled.map((one) => describeCancelled(one, endedAt))].sort(
    (a, b) => a.at - b.at,
  );

function describeAttempt({ plan, result, servedBy, startedAt, ms }: CompletedAttempt): EdgeTraceAttempt {
  const isResponse = result.kind === 'response';
  return {
    spanId: plan.spanId,
    at: startedAt,
    ms,
    route: plan.route.kind,
    origin: plan.route.origin,
    site: plan.site?.site ?? null,
    named: plan.candidate?.id ?? null,
    instance: servedBy,
    hedge: plan.hedge ?? false,
    result: result.kind === 'thrown' ? 'broken' : result.kind,
    status: isResponse ? result.status : null,
    unsent: isResponse && result.unsentMark,
    error: result.kind === 'thrown' ? result.message.slice(0, MAX_ERROR) : '',
  };
}

const describeCancelled = (pending: PendingAttempt, endedAt: number): EdgeTraceAttempt => ({
  spanId: pending.spanId,
  at: pending.startedAt,
  ms: Math.max(0, endedAt - pending.startedAt),
  route: pending.route.kind,
  origin: pending.route.origin,
  site: pending.site,
  named: pending.candidate?.id ?? null,
  instance: null,
  hedge: pending.hedge,
  result: 'cancelled',
  status: null,
  unsent: false,
  error: '',
});

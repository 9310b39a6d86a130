import { type EdgeTrace, type EdgeTraceAttempt, MAX_TRACE_PATH } from '../../shared/edge-trace.ts';
import { isSampled } from '../../shared/trace-context.ts';
import type { CompletedAttempt } from './attempt.ts';
import type { FailoverOutcome } from './failover-context.ts';
import type { IncomingRequest } from './guard.ts';
import type { PendingAttempt } from './hedge.ts';

const MAX_ERROR = 200;
const MAX_METHOD = 32;
const MAX_HOST = 255;

interface RequestEnd {
  readonly service: string;
  readonly outcome: Pick<EdgeTrace, 'kind' | 'status' | 'ms'>;
  readonly limitedBy: readonly string[];
  readonly sent: Pick<FailoverOutcome, 'attempts' | 'cancelled' | 'picked'>;
}

/** The request in detail, for the edge report. */
export function describeRequest(
  incoming: IncomingRequest,
  { service, outcome, limitedBy, sent }: RequestEnd,
): EdgeTrace {
  const { traceId, parentId, spanId, flags } = incoming.trace;
  const endedAt = incoming.startedAt + outcome.ms;
  const attempts = [
    ...sent.attempts.map(describeAttempt),
    ...sent.cancelled.map((one) => describeCancelled(one, endedAt)),
  ];
  return {
    requestId: incoming.requestId,
    traceId,
    parentId,
    spanId,
    sampled: isSampled(flags),
    at: incoming.startedAt,
    ms: outcome.ms,
    method: incoming.method.slice(0, MAX_METHOD),
    scheme: incoming.proto,
    host: incoming.host.slice(0, MAX_HOST),
    path: incoming.path.slice(0, MAX_TRACE_PATH),
    client: incoming.clientAddress,
    service,
    status: outcome.status,
    kind: outcome.kind,
    limitedBy: [...limitedBy],
    pick: sent.picked?.why ?? null,
    attempts: attempts.sort((a, b) => a.at - b.at),
  };
}

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

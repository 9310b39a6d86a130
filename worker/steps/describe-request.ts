import { type EdgeTrace, MAX_TRACE_PATH } from '../../shared/edge-trace.ts';
import { isSampled } from '../../shared/trace-context.ts';
import type { IncomingRequest } from '../incoming-request.ts';
import { describeAttempts } from './describe-attempts.ts';
import type { FailoverOutcome } from './failover-context.ts';

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
    attempts: describeAttempts(sent, incoming.startedAt + outcome.ms),
  };
}

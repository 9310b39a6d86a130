import { parseTraceparent, type TraceContext } from '../../shared/trace-context.ts';
import type { Edge } from '../edge.ts';

/** Continues the client's trace, or starts one. */
export function startTrace(
  traceparent: string | null,
  {
    settings,
    traceIds,
    random,
  }: Pick<Edge, 'traceIds' | 'random'> & {
    readonly settings: Pick<Edge['settings'], 'traceSample' | 'trustTraceparent'>;
  },
): TraceContext {
  const parent = settings.trustTraceparent ? parseTraceparent(traceparent) : null;
  const spanId = traceIds.span();
  if (parent) {
    const { traceId, parentId, flags } = parent;
    return { traceId, parentId, spanId, flags };
  }
  const flags = random() < settings.traceSample ? '01' : '00';
  return { traceId: traceIds.trace(), parentId: null, spanId, flags };
}

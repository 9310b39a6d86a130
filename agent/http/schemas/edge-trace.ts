import { z } from 'zod';
import { MAX_TRACE_PATH } from '../../../shared/edge-trace.ts';

const name = z.string().max(64);
const line = z.string().max(256);
const spanId = z.string().regex(/^[0-9a-f]{16}$/);
/** The agent adds these numbers and formats them as dates. */
const MAX_MS = 1e14;
const at = z.number().nonnegative().max(MAX_MS);
const ms = z.number().nonnegative().max(MAX_MS);

/** One request in detail, as the edge reports it. Every text has a bound: the agent keeps it in memory. */
export const edgeTraceSchema = z.object({
  requestId: z.string().max(128),
  traceId: z.string().regex(/^[0-9a-f]{32}$/),
  parentId: spanId.nullable(),
  spanId,
  sampled: z.boolean(),
  at,
  ms,
  method: name,
  scheme: name,
  host: line,
  path: z.string().max(MAX_TRACE_PATH),
  client: name,
  service: name,
  status: z.int().min(0).max(999),
  kind: z.enum(['answer', 'stale', 'shed', 'unavailable', 'limited', 'forbidden', 'unrouted']),
  limitedBy: z.array(name).max(32),
  pick: z.enum(['pinned', 'placed', 'picked', 'panic', 'ejected']).nullable(),
  attempts: z
    .array(
      z.object({
        spanId,
        at,
        ms,
        route: z.enum(['gateway', 'direct']),
        origin: line,
        site: name.nullable(),
        named: name.nullable(),
        instance: name.nullable(),
        hedge: z.boolean(),
        result: z.enum(['response', 'timeout', 'broken', 'cancelled']),
        status: z.number().nullable(),
        unsent: z.boolean(),
        error: line,
      }),
    )
    .max(100),
});

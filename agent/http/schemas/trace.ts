import { z } from 'zod';
import { edgeTraceSchema } from './edge-trace.ts';

const ms = z.number();
const text = z.string();
const maybe = z.string().nullable();

export const tracedRequestsSchema = z
  .object({
    id: text.meta({ description: 'the request id or trace id of the query' }),
    requests: z.array(
      z.object({
        requestId: text,
        traceId: maybe,
        at: z.number(),
        method: text,
        path: text,
        client: text,
        service: text,
        status: z.number().nullable().meta({ description: 'what the client got; null: no response' }),
        steps: z.array(z.object({ offsetMs: ms, by: z.enum(['edge', 'gateway']), text })),
        unknown: z.array(text).meta({ description: 'what this agent does not know, and why' }),
        edge: edgeTraceSchema.nullable(),
        gateway: z.array(
          z.object({
            requestId: text,
            traceId: maybe,
            spanId: maybe,
            parentId: maybe,
            sampled: z.boolean(),
            at: z.number(),
            client: text,
            service: text,
            instance: maybe,
            fromEdge: z.boolean(),
            method: text,
            path: text,
            scheme: z.enum(['http', 'https']),
            status: z.number().nullable(),
            requestMs: ms.nullable(),
            queueMs: ms.nullable(),
            connectMs: ms.nullable(),
            responseMs: ms.nullable(),
            totalMs: ms,
            termination: text,
            retries: z.number(),
            redispatched: z.boolean(),
          }),
        ),
      }),
    ),
  })
  .meta({ id: 'TracedRequests' });

export type TracedRequests = z.infer<typeof tracedRequestsSchema>;

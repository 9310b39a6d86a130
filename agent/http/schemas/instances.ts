import { z } from 'zod';
import { INSTANCE_ORIGINS, type Instance } from '../../core/state.ts';
import { count, timestamp } from './scalars.ts';

const stateSchema = z.enum(['up', 'probation', 'draining', 'down']);

const outlierSchema = z
  .object({
    cause: z.enum(['broken', 'failing', 'stalling', 'slow']),
    evidence: z.string().meta({ description: 'in numbers, against its peers' }),
    share: z.number().meta({ description: 'share of its weight that it keeps, 0–1; 0: out of service' }),
    since: timestamp,
  })
  .meta({ id: 'Outlier', description: 'an instance that does worse than its peers' });

export const instanceSchema = z
  .object({
    id: z.string(),
    service: z.string(),
    url: z.string(),
    publicUrl: z.string().optional(),
    origin: z
      .enum(INSTANCE_ORIGINS)
      .meta({ description: 'configuration file, registered through the API, or listed by the source' }),
    source: z
      .string()
      .optional()
      .meta({ description: 'the source that lists it', example: 'dns web.internal' }),
    state: stateSchema,
    reason: z.string(),
    since: timestamp,
    servingSince: timestamp.optional(),
    health: z.enum(['unknown', 'up', 'down']),
    breaker: z.enum(['closed', 'open', 'half_open']),
    admin: z.enum(['ready', 'drain', 'maint']),
    drainDeadline: timestamp.optional(),
    weight: z.number(),
    outlier: outlierSchema.optional(),
    latencyShare: z
      .number()
      .optional()
      .meta({ description: 'share of its weight by its latency against its peers; absent: 1' }),
    priority: z.number(),
    maxconn: z.number().optional(),
    latencyMs: z.number().nullable(),
    inflight: count,
    queued: count,
    inflightLimit: count.optional().meta({ description: 'the sum of all HAProxies; absent: unknown' }),
    longLived: count
      .optional()
      .meta({ description: 'open WebSockets, event streams and held answers; absent: unknown' }),
    longLivedLimit: count.optional(),
    expiresAt: timestamp.optional(),
    metadata: z.record(z.string(), z.string()),
    lastProbe: z
      .object({ at: timestamp, ok: z.boolean(), latencyMs: z.number(), error: z.string().optional() })
      .optional(),
  })
  .meta({ id: 'Instance' });

export const instanceListSchema = z.object({ instances: z.array(instanceSchema) });

export const serviceSchema = z
  .object({
    id: z.string(),
    routes: z.array(z.string()),
    strategy: z.string(),
    timeoutMs: z.number(),
    maxconn: z.number(),
    up: count.meta({ description: 'instances that take traffic' }),
    instances: z.array(instanceSchema),
  })
  .meta({ id: 'Service' });

export const serviceListSchema = z.object({ services: z.array(serviceSchema) });

export type ApiInstance = z.output<typeof instanceSchema>;

/** The instance as the API shows it: probe timings and flags stay inside. */
export function toApiInstance(instance: Instance): ApiInstance {
  const { lastProbe, ...rest } = instance;
  if (!lastProbe) return rest;
  const { at, ok, latencyMs, error } = lastProbe;
  return {
    ...rest,
    lastProbe: {
      at,
      ok,
      latencyMs: Math.round(latencyMs * 100) / 100,
      ...(error === undefined ? {} : { error }),
    },
  };
}

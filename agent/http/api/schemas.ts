import { z } from '@hono/zod-openapi';
import { parseDuration, parseOrigin } from '../../../shared/config/scalars.ts';
import type { Instance } from '../../core/state.ts';

/** The API's own words, from which /v1/openapi.json is made. */

const ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
const instant = z.number().openapi({ description: 'epoch milliseconds', example: 1_764_000_000_000 });

export const problemSchema = z
  .object({ type: z.string(), title: z.string(), status: z.number(), detail: z.string() })
  .openapi('Problem', { description: 'RFC 9457 problem details' });

export const instanceSchema = z
  .object({
    id: z.string(),
    service: z.string(),
    url: z.string(),
    publicUrl: z.string().optional(),
    origin: z.enum(['file', 'api']),
    state: z.enum(['up', 'probation', 'draining', 'down']),
    reason: z.string(),
    since: instant,
    servingSince: instant.optional(),
    health: z.enum(['unknown', 'up', 'down']),
    breaker: z.enum(['closed', 'open', 'half_open']),
    admin: z.enum(['ready', 'drain', 'maint']),
    drainDeadline: instant.optional(),
    weight: z.number(),
    priority: z.number(),
    maxconn: z.number().optional(),
    latencyMs: z.number().nullable(),
    inflight: z.number(),
    queued: z.number(),
    expiresAt: instant.optional(),
    metadata: z.record(z.string(), z.string()),
    lastProbe: z
      .object({ at: instant, ok: z.boolean(), latencyMs: z.number(), error: z.string().optional() })
      .optional(),
  })
  .openapi('Instance');

export const serviceSchema = z
  .object({
    id: z.string(),
    routes: z.array(z.string()),
    strategy: z.string(),
    timeoutMs: z.number(),
    maxconn: z.number(),
    up: z.number().openapi({ description: 'instances that take traffic' }),
    instances: z.array(instanceSchema),
  })
  .openapi('Service');

const origin = z
  .string()
  .transform((text, context) => {
    const value = parseOrigin(text);
    if (value !== null) return value;
    context.addIssue({
      code: 'custom',
      message: 'an http:// or https:// origin without path, credentials or port 0',
    });
    return z.NEVER;
  })
  .openapi({ type: 'string', example: 'http://10.0.0.7:8004' });

/** `30s` or milliseconds. */
const duration = z
  .union([z.int().positive(), z.string()])
  .transform((value, context) => {
    const ms = typeof value === 'number' ? value : parseDuration(value);
    if (ms !== null && ms >= 1_000 && ms <= 30 * 86_400_000) return ms;
    context.addIssue({
      code: 'custom',
      message: 'a duration from 1s to 30d, such as 30s or 5m, or milliseconds',
    });
    return z.NEVER;
  })
  .openapi({ type: 'string', example: '30s' });

export const registrationSchema = z
  .strictObject({
    id: z.string().regex(ID, '1 to 63 letters, digits, "-", "_" or ".", starting with a letter or digit'),
    url: origin,
    publicUrl: origin.optional(),
    weight: z.int().min(1).max(256).default(100),
    priority: z.int().min(1).max(16).default(1),
    maxconn: z.int().min(1).max(1_000_000).optional(),
    ttl: duration.optional(),
    metadata: z.record(z.string().max(128), z.string().max(1024)).default({}),
  })
  .openapi('Registration');

export const adminSchema = z
  .strictObject({
    state: z.enum(['ready', 'drain', 'maint']),
    deadline: z.union([z.number(), z.string()]).optional().openapi({
      description: 'drain only: after this becomes maint. Duration from now (5m) or epoch milliseconds',
    }),
  })
  .openapi('Admin');

export const weightSchema = z.strictObject({ weight: z.int().min(1).max(256) }).openapi('Weight');

export const serviceParam = z.object({
  service: z.string().openapi({ param: { name: 'service', in: 'path' } }),
});
export const instanceParams = serviceParam.extend({
  id: z.string().openapi({ param: { name: 'id', in: 'path' } }),
});

/** Nobody waits longer for a drain; also far within what a date can hold. */
const MAX_DRAIN_MS = 366 * 86_400_000;

/** The instant a drain ends, from a duration or an instant; null when the value is neither, past, or over a year off. */
export function parseDrainDeadline(value: number | string, now: number): number | null {
  const ms = typeof value === 'string' ? parseDuration(value) : null;
  const instant = ms !== null ? now + ms : typeof value === 'string' ? Date.parse(value) : value;
  return instant > now && instant <= now + MAX_DRAIN_MS ? Math.round(instant) : null;
}

export function toApiInstance(instance: Instance): z.output<typeof instanceSchema> {
  const { lastProbe, ...rest } = instance;
  if (!lastProbe) return rest as z.output<typeof instanceSchema>;
  const { at, ok, latencyMs, error } = lastProbe;
  return {
    ...rest,
    lastProbe: {
      at,
      ok,
      latencyMs: Math.round(latencyMs * 100) / 100,
      ...(error === undefined ? {} : { error }),
    },
  } as z.output<typeof instanceSchema>;
}

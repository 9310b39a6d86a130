import { z } from '@hono/zod-openapi';
import { ID_PATTERN, parseDuration, parseOrigin } from '../../../shared/config/scalars.ts';
import { MAX_MAXCONN, METADATA_LENGTH, PRIORITY, TTL_MS, WEIGHT } from '../../registry/limits.ts';

/** Bodies and parameters of requests. Answers are in ../schemas/. */

const origin = z
  .string()
  .transform((text, context) => {
    const value = parseOrigin(text);
    if (value !== null) return value;
    context.addIssue({
      code: 'custom',
      message:
        'must be an http:// or https:// origin without path, credentials, abbreviated address or port 0',
    });
    return z.NEVER;
  })
  .openapi({ type: 'string', example: 'http://192.0.2.7:8004' });

/** `30s` or milliseconds. */
const duration = z
  .union([z.int().positive(), z.string()])
  .transform((value, context) => {
    const ms = typeof value === 'number' ? value : parseDuration(value);
    if (ms !== null && ms >= TTL_MS.min && ms <= TTL_MS.max) return ms;
    context.addIssue({
      code: 'custom',
      message: 'must be a duration from 1s to 30d, such as 30s or 5m, or milliseconds',
    });
    return z.NEVER;
  })
  .openapi({ type: 'string', example: '30s' });

export const registrationSchema = z
  .strictObject({
    id: z
      .string()
      .regex(ID_PATTERN, 'must be 1 to 63 letters, digits, "-", "_" or ".", starting with a letter or digit'),
    url: origin,
    publicUrl: origin.optional(),
    weight: z.int().min(WEIGHT.min).max(WEIGHT.max).default(100),
    priority: z.int().min(PRIORITY.min).max(PRIORITY.max).default(1),
    maxconn: z.int().min(1).max(MAX_MAXCONN).optional(),
    ttl: duration.optional(),
    metadata: z
      .record(z.string().max(METADATA_LENGTH.name), z.string().max(METADATA_LENGTH.value))
      .default({}),
  })
  .openapi('Registration');

export const adminSchema = z
  .strictObject({
    state: z.enum(['ready', 'drain', 'maint']),
    deadline: z.union([z.number(), z.string()]).optional().openapi({
      description:
        'only for drain: when it becomes maint. A duration from now (5m), an ISO date, or epoch milliseconds',
    }),
  })
  .openapi('Admin');

export const weightSchema = z
  .strictObject({ weight: z.int().min(WEIGHT.min).max(WEIGHT.max) })
  .openapi('Weight');

export const serviceParam = z.object({
  service: z.string().openapi({ param: { name: 'service', in: 'path' } }),
});
export const instanceParams = serviceParam.extend({
  id: z.string().openapi({ param: { name: 'id', in: 'path' } }),
});

/** Far below the largest date JavaScript can represent. */
const MAX_DRAIN_MS = 366 * 86_400_000;

/**
 * When a drain ends, epoch milliseconds: from a duration (`5m`), an ISO date, or epoch milliseconds. Null when `value` is
 * none of these, not in the future, or more than a year away.
 */
export function parseDrainDeadline(value: number | string, now: number): number | null {
  const durationMs = typeof value === 'string' ? parseDuration(value) : null;
  const date = typeof value === 'string' ? Date.parse(value) : value;
  const deadline = durationMs === null ? date : now + durationMs;
  return deadline > now && deadline <= now + MAX_DRAIN_MS ? Math.round(deadline) : null;
}

import { z } from 'zod';
import { CommandFailed } from './errors.ts';

/** What the commands read of the agent's answers. Parsed where they enter; what an agent adds is let through. */

const traffic = z.looseObject({
  perSecond: z.number(),
  errorPercent: z.number().nullable(),
  p50: z.number().nullable(),
  p95: z.number().nullable(),
  p99: z.number().nullable(),
});

export const instanceResponseSchema = z.looseObject({
  id: z.string(),
  service: z.string(),
  url: z.string(),
  state: z.string(),
  reason: z.string(),
  health: z.string(),
  breaker: z.string(),
  admin: z.string(),
  weight: z.number(),
  priority: z.number(),
  latencyMs: z.number().nullish(),
  since: z.number(),
});

const sinkResponseSchema = z.looseObject({
  state: z.string(),
  pending: z.number(),
  dropped: z.number(),
  lastSuccess: z.number().nullable(),
  lastError: z.string().nullable(),
});

export const changeResponseSchema = z.looseObject({
  at: z.number(),
  service: z.string(),
  instance: z.string(),
  kind: z.string(),
  from: z.string().optional(),
  to: z.string().optional(),
  reason: z.string(),
});

const use = z.looseObject({ epoch: z.number(), seq: z.number(), ageMs: z.number(), source: z.string() });

export const statusResponseSchema = z.looseObject({
  at: z.number(),
  version: z.string(),
  site: z.string(),
  startedAt: z.number(),
  ready: z.boolean(),
  leader: z.looseObject({ role: z.string(), holder: z.string().nullable() }),
  snapshot: z.looseObject({
    epoch: z.number(),
    seq: z.number(),
    publishedAt: z.number().nullable(),
    error: z.string().nullable(),
  }),
  sinks: z.record(z.string(), sinkResponseSchema),
  total: traffic.extend({ inflight: z.number(), queued: z.number() }),
  services: z.array(
    z.looseObject({
      id: z.string(),
      routes: z.array(z.string()),
      traffic,
      inflight: z.number(),
      queued: z.number(),
      instances: z.array(
        instanceResponseSchema.extend({ traffic, inflight: z.number(), queued: z.number() }),
      ),
    }),
  ),
  edge: z.looseObject({
    isolates: z.number(),
    lastReport: z.number().nullable(),
    oldest: use.nullable(),
    newest: use.nullable(),
  }),
  changes: z.array(changeResponseSchema),
});

export type StatusResponse = z.output<typeof statusResponseSchema>;
export type InstanceResponse = z.output<typeof instanceResponseSchema>;
export type ChangeResponse = z.output<typeof changeResponseSchema>;

/** Throws CommandFailed when the agent answered with something this version does not know. */
export function parseResponse<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  what: string,
): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new CommandFailed(
    `the agent's ${what} is not what this version expects (${issue?.path.join('.')}: ${issue?.message}); ` +
      'are agent and command of one version?',
  );
}

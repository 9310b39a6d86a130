import { z } from 'zod';

export const explanationSchema = z
  .object({
    service: z.string().nullable(),
    route: z.string().nullable().meta({ description: 'the prefix that matched' }),
    strategy: z.string().nullable(),
    panic: z
      .boolean()
      .meta({ description: 'fewer than half of the instances are healthy: the edge ignores health' }),
    chosen: z.string().nullable(),
    why: z.string(),
    limits: z.array(z.string()).meta({ description: 'rate-limit policies that count the request' }),
    candidates: z.array(
      z.object({
        id: z.string(),
        source: z
          .string()
          .nullable()
          .default(null)
          .meta({ description: 'the source that lists it; null: the file or the API' }),
        state: z.string(),
        reason: z.string(),
        weight: z.number(),
        share: z.number().meta({ description: 'share of its weight that an outlier keeps, 0–1' }),
        priority: z.number(),
        sharePercent: z
          .number()
          .meta({ description: 'share of new traffic if all were equally fast and idle' }),
        measuredPercent: z
          .number()
          .nullable()
          .meta({ description: "measured share of the service's attempts, last minute; null: none" }),
        chosen: z.boolean(),
      }),
    ),
  })
  .meta({ id: 'Explanation' });

export const snapshotOrderSchema = z.object({ epoch: z.number(), seq: z.number() });

export const configChangesSchema = z.object({
  changes: z.array(z.string()).meta({ description: 'one line for each changed key' }),
  restart: z
    .array(z.string())
    .optional()
    .meta({ description: 'changed keys that take effect when the agent restarts' }),
  saved: z.boolean().meta({ description: 'whether the configuration file was written too' }),
  note: z.string().optional(),
});

export type RouteExplanation = z.output<typeof explanationSchema>;

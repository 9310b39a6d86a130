import { z } from 'zod';
import { count, timestamp } from './scalars.ts';

const snapshotUseSchema = z.object({
  epoch: z.number(),
  seq: z.number(),
  ageMs: z.number(),
  source: z.string(),
});

export const edgeSummarySchema = z
  .object({
    isolates: count.meta({ description: 'isolates that reported in the last five minutes' }),
    lastReport: timestamp.nullable(),
    oldest: snapshotUseSchema.nullable().meta({ description: 'oldest snapshot in use' }),
    newest: snapshotUseSchema.nullable().meta({ description: 'newest snapshot in use' }),
    requests: z.array(
      z.object({
        service: z.string(),
        total: count,
        status2xx: count,
        status3xx: count,
        status4xx: count,
        status5xx: count,
        retries: count,
        failovers: count,
        hedges: count,
        stale: count,
        shed: count,
        unavailable: count,
        limited: count,
        forbidden: count,
      }),
    ),
    limits: z.array(
      z.object({
        service: z.string(),
        policy: z.string(),
        allowed: count,
        denied: count,
        shadowDenied: count,
      }),
    ),
  })
  .meta({ id: 'EdgeSummary', description: 'sums of the edge reports of the last five minutes' });

export type EdgeSummary = z.output<typeof edgeSummarySchema>;

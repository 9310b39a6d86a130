import { z } from 'zod';
import { count, timestamp } from './scalars.ts';

const perSecond = z.number().meta({ description: 'over ten seconds' });
const errorPercent = z.number().nullable().meta({ description: 'last minute; null: none' });
const quantileMs = z.number().nullable().meta({ description: 'milliseconds, last minute; null: no sample' });

export const ratesSchema = z
  .object({ perSecond, errorPercent, p50: quantileMs, p95: quantileMs, p99: quantileMs })
  .meta({ id: 'TrafficRates', description: 'of an instance: its attempts' });

export const trafficSchema = ratesSchema
  .extend({
    history: z
      .object({
        until: timestamp.meta({ description: 'end of the last step' }),
        perSecond: z.array(z.number()),
        errorPercent: z.array(z.number().nullable()),
        p95: z.array(z.number().nullable()),
      })
      .meta({ description: 'last five minutes in steps of five seconds, oldest first' }),
    requests: count,
    failed: count.meta({ description: '5xx, or no complete response' }),
    attempts: count.meta({ description: 'to all instances together' }),
    retries: count.meta({ description: 'attempts made because the one before failed' }),
    hedges: count.meta({ description: 'copies of late attempts' }),
    limited: count.meta({ description: 'requests rejected with 429 by a rate limit' }),
  })
  .meta({
    id: 'Traffic',
    description: 'requests as clients saw them, each counted once; counts are those of the last minute',
  });

export type TrafficRates = z.output<typeof ratesSchema>;
export type TrafficSummary = z.output<typeof trafficSchema>;

import { z } from 'zod';
import {
  INSTANCE_COLUMNS,
  type InstanceColumn,
  SERIES_COLUMNS,
  type SeriesColumn,
} from '../../history/series/columns.ts';
import { count, timestamp } from './scalars.ts';

const figure = z.number().nullable();
const column = z.array(figure);
const columnsOf = <T extends z.ZodType>(type: T) =>
  z.object({
    ...(Object.fromEntries(SERIES_COLUMNS.map((name) => [name, type])) as { [name in SeriesColumn]: T }),
    ...(Object.fromEntries(INSTANCE_COLUMNS.map((name) => [name, type.optional()])) as {
      [name in InstanceColumn]: z.ZodOptional<T>;
    }),
  });
const peerFigures = <T extends z.ZodType>(type: T) => ({ p50Ms: type, p95Ms: type, errorPercent: type });

export const historySchema = z
  .object({
    site: z.string(),
    service: z.string().optional(),
    instance: z.string().optional(),
    of: z
      .enum(['requests', 'attempts'])
      .meta({ description: 'requests as clients saw them; of an instance its attempts' }),
    from: timestamp,
    to: timestamp,
    stepSeconds: z.number(),
    source: z
      .enum(['minutes', 'hours', 'days'])
      .meta({ description: 'hours and days lag up to five minutes' }),
    times: z
      .array(timestamp)
      .meta({ description: 'the start of each step; every column has as many values' }),
    series: columnsOf(column).meta({
      description:
        'null: no data. concurrency: mean requests in flight plus queued; sessions: governance sessions; of an instance also probes, time with the breaker not closed and as an outlier, and its share of the attempts',
    }),
    totals: columnsOf(figure).meta({ description: 'the same figures of the whole range' }),
    peers: z
      .object({ count, ...peerFigures(column), totals: z.object(peerFigures(figure)) })
      .nullable()
      .meta({ description: 'of an instance: medians over the other instances of its service' }),
  })
  .meta({ id: 'History' });

export type ApiHistory = z.output<typeof historySchema>;

import { z } from 'zod';
import { EVENT_KINDS } from '../../history/events.ts';
import { timestamp } from './scalars.ts';

export const changeSchema = z
  .object({
    at: timestamp,
    service: z.string(),
    instance: z.string(),
    kind: z
      .enum([
        'state',
        'health',
        'breaker',
        'outlier',
        'admin',
        'weight',
        'registered',
        'deregistered',
        'config',
        'rollout',
        'discovery',
      ])
      .meta({ description: 'config: instance is empty, and service too when it concerns the whole site' }),
    from: z.string().optional(),
    to: z.string().optional(),
    reason: z.string(),
    by: z.string().optional().meta({ description: 'the requester; absent when the agent acted by itself' }),
  })
  .meta({ id: 'Change' });

export const historyEventSchema = z
  .object({
    id: z.string(),
    at: timestamp,
    kind: z.enum(EVENT_KINDS),
    service: z.string().meta({ description: 'empty when the event concerns the site' }),
    instance: z.string(),
    from: z.string().optional(),
    to: z.string().optional(),
    reason: z.string(),
    by: z.string().optional().meta({ description: 'the requester; absent when the agent acted by itself' }),
    alert: z.object({ id: z.string(), rule: z.string(), severity: z.string() }).optional(),
  })
  .meta({ id: 'HistoryEvent' });

export const eventPageSchema = z.object({
  events: z.array(historyEventSchema).meta({ description: 'newest first' }),
  next: z.string().nullable().meta({ description: 'cursor of the next page; null at the end' }),
});

export type ApiChange = z.output<typeof changeSchema>;
export type ApiHistoryEvent = z.output<typeof historyEventSchema>;

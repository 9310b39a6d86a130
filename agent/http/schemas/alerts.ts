import { z } from 'zod';
import { SEVERITIES } from '../../../shared/config/monitor.ts';
import { timestamp } from './scalars.ts';

export const alertSchema = z
  .object({
    id: z.string(),
    rule: z.string(),
    service: z.string().meta({ description: 'empty: the site and its host' }),
    subject: z
      .string()
      .default('')
      .meta({ description: 'tells apart the alerts of one rule and service: a sink, a file, a host' }),
    severity: z.enum(SEVERITIES),
    state: z.enum(['firing', 'resolved']),
    value: z.number(),
    threshold: z.number(),
    message: z.string(),
    startedAt: timestamp,
    changedAt: timestamp,
    resolvedAt: timestamp.nullable(),
    acknowledgedAt: timestamp.nullable(),
    acknowledgedBy: z.string().nullable(),
    notified: z.number(),
    silenced: z.boolean(),
  })
  .meta({ id: 'Alert' });

const receiverSchema = z
  .object({
    pending: z.number().meta({ description: 'messages that wait for their delivery' }),
    delivered: z.number(),
    failed: z.number().meta({ description: 'messages that were given up' }),
    lastError: z.string().nullable().meta({ description: 'null: the last delivery succeeded' }),
    lastSuccess: timestamp
      .nullable()
      .meta({ description: 'when a delivery last succeeded; null: none since the agent started' }),
  })
  .meta({ id: 'AlertReceiver' });

const receiversSchema = z
  .record(z.string(), receiverSchema)
  .meta({ description: 'receivers to which this agent has sent a message' });

export const alertListSchema = z.object({
  alerts: z.array(alertSchema),
  receivers: receiversSchema,
});

export const silenceSchema = z
  .object({
    id: z.string(),
    rule: z.string().meta({ description: 'empty: every rule' }),
    service: z.string().meta({ description: 'empty: every service' }),
    until: timestamp,
    reason: z.string(),
    createdBy: z.string(),
  })
  .meta({ id: 'Silence' });

export const silenceListSchema = z.object({ silences: z.array(silenceSchema) });

export const alertTestSchema = z.object({
  results: z.array(z.object({ receiver: z.string(), error: z.string().nullable() })),
});

export type ApiAlert = z.output<typeof alertSchema>;
export type Receivers = z.output<typeof receiversSchema>;
export type ApiSilence = z.output<typeof silenceSchema>;

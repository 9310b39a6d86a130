import { z } from 'zod';
import { SOURCE_STATES } from '../../discovery/status.ts';
import { alertSchema } from './alerts.ts';
import { edgeSummarySchema } from './edge-summary.ts';
import { changeSchema } from './events.ts';
import { instanceSchema } from './instances.ts';
import { count, timestamp } from './scalars.ts';
import { ratesSchema, trafficSchema } from './traffic.ts';

const gauges = { inflight: count, queued: count };

const instanceStatusSchema = instanceSchema
  .pick({
    id: true,
    service: true,
    url: true,
    origin: true,
    source: true,
    state: true,
    reason: true,
    since: true,
    health: true,
    breaker: true,
    admin: true,
    drainDeadline: true,
    weight: true,
    outlier: true,
    latencyShare: true,
    priority: true,
    latencyMs: true,
    inflight: true,
    queued: true,
    longLived: true,
    expiresAt: true,
  })
  .extend({
    traffic: ratesSchema,
    trafficPercent: z
      .number()
      .nullable()
      .meta({ description: "measured share of the service's attempts, last minute; null: none" }),
  })
  .meta({ id: 'InstanceStatus' });

const serviceStatusSchema = z
  .object({
    id: z.string(),
    routes: z.array(z.string()),
    timeoutMs: z.number(),
    maxconn: z.number(),
    traffic: trafficSchema,
    ...gauges,
    instances: z.array(instanceStatusSchema),
  })
  .meta({ id: 'ServiceStatus' });

export const sinkSchema = z
  .object({
    state: z.enum(['ok', 'retrying', 'down']),
    pending: count,
    dropped: count,
    lastSuccess: timestamp.nullable(),
    lastError: z.string().nullable(),
  })
  .meta({ id: 'SinkStatus' });

const sourceStatusSchema = z
  .object({
    service: z.string(),
    source: z.string().meta({ example: 'dns web.internal' }),
    state: z.enum(SOURCE_STATES).meta({
      description:
        'refused: its list removes no instance; failing: its last list stays; standby: the leader reads it',
    }),
    problem: z.string().meta({ description: 'empty: none' }),
    since: timestamp,
    readAt: timestamp.nullable(),
  })
  .meta({ id: 'Source' });

const adviceSchema = z
  .object({
    service: z.string(),
    message: z.string().meta({ example: 'answers of /poll are held while its other answers are quick' }),
    action: z.string().meta({ description: 'what to set, as a sentence' }),
  })
  .meta({ id: 'Advice' });

/** What the agent says about itself. */
const agentStatusSchema = z.object({
  version: z.string(),
  site: z.string(),
  startedAt: timestamp,
  ready: z.boolean(),
  leader: z.object({ role: z.enum(['leader', 'standby', 'single']), holder: z.string().nullable() }),
  snapshot: z.object({
    epoch: z.number(),
    seq: z.number(),
    publishedAt: timestamp.nullable(),
    error: z.string().nullable(),
  }),
  sinks: z.record(z.string(), sinkSchema),
  alerts: z.array(alertSchema).default([]).meta({ description: 'firing alerts, worst first' }),
  sources: z
    .array(sourceStatusSchema)
    .default([])
    .meta({ description: 'the sources of instances, one for each service with instancesFrom' }),
  advice: z.array(adviceSchema).optional().meta({
    description:
      'settings of services that do not fit their traffic, and admin states set in HAProxy, not through the agent',
  }),
});

export const statusSchema = agentStatusSchema
  .extend({
    at: timestamp,
    total: trafficSchema.extend(gauges),
    services: z.array(serviceStatusSchema),
    edge: edgeSummarySchema,
    changes: z.array(changeSchema).meta({ description: 'latest 100, newest first' }),
  })
  .meta({ id: 'Status' });

export type AgentStatus = z.output<typeof agentStatusSchema>;
export type StatusDocument = z.output<typeof statusSchema>;
export type StatusService = z.output<typeof serviceStatusSchema>;
export type StatusInstance = z.output<typeof instanceStatusSchema>;

import { z } from 'zod';
import { SEVERITIES } from '../../shared/config/monitor.ts';
import { INSTANCE_ORIGINS, type Instance } from '../core/state.ts';
import { SOURCE_STATES } from '../discovery/status.ts';
import { EVENT_KINDS } from '../history/events.ts';
import {
  INSTANCE_COLUMNS,
  type InstanceColumn,
  SERIES_COLUMNS,
  type SeriesColumn,
} from '../history/series/columns.ts';
import { SESSION_STATES, WORKFLOW_TYPES } from '../sessions/session.ts';

export { tracedRequestsSchema } from './trace-schema.ts';

/**
 * What the agent answers. The API builds its answers and /v1/openapi.json from these schemas, the command parses answers
 * with them, and the dashboard takes its types from them.
 */

const timestamp = z.number().meta({ description: 'epoch milliseconds', example: 1_764_000_000_000 });
const stateSchema = z.enum(['up', 'probation', 'draining', 'down']);
const count = z.number();

export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.number(),
    detail: z.string(),
  })
  .meta({ id: 'Problem', description: 'RFC 9457 problem details' });

const outlierSchema = z
  .object({
    cause: z.enum(['broken', 'failing', 'stalling', 'slow']),
    evidence: z.string().meta({ description: 'in numbers, against its peers' }),
    share: z.number().meta({ description: 'share of its weight that it keeps, 0–1; 0: out of service' }),
    since: timestamp,
  })
  .meta({ id: 'Outlier', description: 'an instance that does worse than its peers' });

export const instanceSchema = z
  .object({
    id: z.string(),
    service: z.string(),
    url: z.string(),
    publicUrl: z.string().optional(),
    origin: z
      .enum(INSTANCE_ORIGINS)
      .meta({ description: 'configuration file, registered through the API, or listed by the source' }),
    source: z
      .string()
      .optional()
      .meta({ description: 'the source that lists it', example: 'dns web.internal' }),
    state: stateSchema,
    reason: z.string(),
    since: timestamp,
    servingSince: timestamp.optional(),
    health: z.enum(['unknown', 'up', 'down']),
    breaker: z.enum(['closed', 'open', 'half_open']),
    admin: z.enum(['ready', 'drain', 'maint']),
    drainDeadline: timestamp.optional(),
    weight: z.number(),
    outlier: outlierSchema.optional(),
    latencyShare: z
      .number()
      .optional()
      .meta({ description: 'share of its weight by its latency against its peers; absent: 1' }),
    priority: z.number(),
    maxconn: z.number().optional(),
    latencyMs: z.number().nullable(),
    inflight: count,
    queued: count,
    inflightLimit: count.optional().meta({ description: 'the sum of all HAProxies; absent: unknown' }),
    longLived: count
      .optional()
      .meta({ description: 'open WebSockets, event streams and held answers; absent: unknown' }),
    longLivedLimit: count.optional(),
    expiresAt: timestamp.optional(),
    metadata: z.record(z.string(), z.string()),
    lastProbe: z
      .object({ at: timestamp, ok: z.boolean(), latencyMs: z.number(), error: z.string().optional() })
      .optional(),
  })
  .meta({ id: 'Instance' });

export const instanceListSchema = z.object({ instances: z.array(instanceSchema) });

export const serviceSchema = z
  .object({
    id: z.string(),
    routes: z.array(z.string()),
    strategy: z.string(),
    timeoutMs: z.number(),
    maxconn: z.number(),
    up: count.meta({ description: 'instances that take traffic' }),
    instances: z.array(instanceSchema),
  })
  .meta({ id: 'Service' });

export const serviceListSchema = z.object({ services: z.array(serviceSchema) });

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

const perSecond = z.number().meta({ description: 'over ten seconds' });
const errorPercent = z.number().nullable().meta({ description: 'last minute; null: none' });
const quantileMs = z.number().nullable().meta({ description: 'milliseconds, last minute; null: no sample' });

const ratesSchema = z
  .object({ perSecond, errorPercent, p50: quantileMs, p95: quantileMs, p99: quantileMs })
  .meta({ id: 'TrafficRates', description: 'of an instance: its attempts' });

const trafficSchema = ratesSchema
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

const snapshotUseSchema = z.object({
  epoch: z.number(),
  seq: z.number(),
  ageMs: z.number(),
  source: z.string(),
});

const edgeSummarySchema = z
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

export const sinkSchema = z
  .object({
    state: z.enum(['ok', 'retrying', 'down']),
    pending: count,
    dropped: count,
    lastSuccess: timestamp.nullable(),
    lastError: z.string().nullable(),
  })
  .meta({ id: 'SinkStatus' });

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
  advice: z
    .array(adviceSchema)
    .optional()
    .meta({ description: 'settings of services that do not fit their traffic' }),
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

export const alertListSchema = z.object({
  alerts: z.array(alertSchema),
  receivers: z.record(z.string(), z.unknown()),
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

const callerData = z.record(z.string(), z.unknown());

export const sessionSchema = z
  .object({
    id: z.string(),
    workflowType: z.enum(WORKFLOW_TYPES),
    userId: z.string(),
    state: z.enum(SESSION_STATES),
    currentStep: z.string(),
    completedSteps: z.array(z.string()),
    stepDurations: z
      .record(z.string(), z.number())
      .meta({ description: 'duration of each completed step, seconds' }),
    stepStartedAt: timestamp,
    data: callerData,
    metadata: callerData,
    pins: z.record(z.string(), z.string()).meta({ description: 'service → instance' }),
    moves: z.array(
      z.object({
        at: timestamp,
        service: z.string(),
        from: z.string(),
        to: z.string(),
        reason: z.string(),
      }),
    ),
    createdAt: timestamp,
    lastActivity: timestamp,
    totalDuration: z.number().nullable().meta({ description: 'seconds' }),
    reason: z.string().nullable(),
    version: z.number(),
  })
  .meta({ id: 'Session' });

export const sessionListSchema = z.object({ sessions: z.array(sessionSchema) });

export const sessionStatsSchema = z.object({
  total: count,
  byState: z.record(z.string(), count),
  byWorkflow: z.record(z.string(), count).meta({ description: 'active and suspended sessions' }),
  averageAge: z.number().nullable().meta({ description: 'open sessions, seconds' }),
  averageDuration: z.number().nullable().meta({ description: 'completed sessions, seconds' }),
  moves: count.meta({ description: 'sessions moved to another instance' }),
});

export type ApiInstance = z.output<typeof instanceSchema>;
export type ApiChange = z.output<typeof changeSchema>;
export type ApiAlert = z.output<typeof alertSchema>;
export type ApiSilence = z.output<typeof silenceSchema>;
export type ApiSession = z.output<typeof sessionSchema>;
export type RouteExplanation = z.output<typeof explanationSchema>;
export type AgentStatus = z.output<typeof agentStatusSchema>;
export type StatusDocument = z.output<typeof statusSchema>;
export type StatusService = z.output<typeof serviceStatusSchema>;
export type StatusInstance = z.output<typeof instanceStatusSchema>;
export type EdgeSummary = z.output<typeof edgeSummarySchema>;
export type TrafficRates = z.output<typeof ratesSchema>;
export type TrafficSummary = z.output<typeof trafficSchema>;

/** The instance as the API shows it: probe timings and flags stay inside. */
export function toApiInstance(instance: Instance): ApiInstance {
  const { lastProbe, ...rest } = instance;
  if (!lastProbe) return rest;
  const { at, ok, latencyMs, error } = lastProbe;
  return {
    ...rest,
    lastProbe: {
      at,
      ok,
      latencyMs: Math.round(latencyMs * 100) / 100,
      ...(error === undefined ? {} : { error }),
    },
  };
}

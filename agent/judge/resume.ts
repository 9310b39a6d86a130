import { z } from 'zod';
import type { InstanceSource } from '../core/judge-event.ts';
import { INSTANCE_ORIGINS, instanceKey } from '../core/state.ts';
import { type InstanceRecord, newTrafficState, withSource } from './instance-record.ts';

/** The saved part of a record, from which a restarted agent resumes. */
const count = z.number().nonnegative();
const counts = z.object({ calls: count, failures: count, timed: count, slow: count });
const cause = z.enum(['failures', 'slowness']);
const savedRecordSchema = z.object({
  source: z.object({
    id: z.string(),
    service: z.string(),
    origin: z.enum(INSTANCE_ORIGINS),
    source: z.string().optional(),
    url: z.string(),
    publicUrl: z.string().optional(),
    weight: z.number(),
    priority: z.number(),
    maxconn: z.number().optional(),
    ttl: z.number().optional(),
    metadata: z.record(z.string(), z.string()),
  }),
  instance: z.looseObject({
    state: z.enum(['up', 'probation', 'draining', 'down']),
    reason: z.string(),
    since: z.number(),
    servingSince: z.number().optional(),
    health: z.enum(['unknown', 'up', 'down']),
    breaker: z.enum(['closed', 'open', 'half_open']),
    admin: z.enum(['ready', 'drain', 'maint']),
    drainDeadline: z.number().optional(),
    weight: z.number(),
    latencyMs: z.number().nullable(),
  }),
  tally: z.object({
    health: z.enum(['unknown', 'up', 'down']),
    passes: count,
    failures: count,
    newest: z.number(),
    since: z.number(),
    because: z.string(),
  }),
  breaker: z.discriminatedUnion('state', [
    z.object({ state: z.literal('closed'), buckets: z.array(counts.extend({ slice: z.number() })) }),
    z.object({
      state: z.literal('open'),
      openedAt: z.number(),
      until: z.number(),
      openings: z.number(),
      cause,
      why: z.string(),
    }),
    z.object({ state: z.literal('half_open'), since: z.number(), openings: z.number(), cause, counts }),
  ]),
  flap: z.object({
    penalty: z.number(),
    at: z.number(),
    falls: z.number(),
    heldSince: z.number().nullable(),
  }),
  provedAt: z.number().nullable(),
  known: z.boolean(),
});

/** Records by `service/instance`; entries that cannot be used are left out. */
export function parseSavedRecords(raw: readonly unknown[]): Map<string, InstanceRecord> {
  const records = raw.map((one) => parseSavedRecord(one)).filter((record) => record !== null);
  return new Map(records.map((record) => [instanceKey(record.source.service, record.source.id), record]));
}

/** The saved record, or null if it cannot be used. */
export function parseSavedRecord(raw: unknown, now = 0): InstanceRecord | null {
  const parsed = savedRecordSchema.safeParse(raw);
  if (!parsed.success) return null;
  const { source, instance, tally, ...rest } = parsed.data;
  const { publicUrl, maxconn, ttl, source: from, ...plain } = source;
  const instanceSource: InstanceSource = {
    ...plain,
    ...(publicUrl === undefined ? {} : { publicUrl }),
    ...(maxconn === undefined ? {} : { maxconn }),
    ...(ttl === undefined ? {} : { ttl }),
    ...(from === undefined ? {} : { source: from }),
  };
  return {
    ...rest,
    source: instanceSource,
    measuredAt: 0,
    probeTimes: [],
    ...newTrafficState(now),
    tally: { ...tally, passes: 0, failures: 0, newest: 0 },
    instance: {
      id: instanceSource.id,
      service: instanceSource.service,
      url: instanceSource.url,
      origin: instanceSource.origin,
      ...(from === undefined ? {} : { source: from }),
      priority: instanceSource.priority,
      metadata: instanceSource.metadata,
      ...(publicUrl === undefined ? {} : { publicUrl }),
      ...(maxconn === undefined ? {} : { maxconn }),
      state: instance.state,
      reason: instance.reason,
      since: instance.since,
      ...(instance.servingSince === undefined ? {} : { servingSince: instance.servingSince }),
      health: instance.health,
      breaker: instance.breaker,
      admin: instance.admin,
      ...(instance.drainDeadline === undefined ? {} : { drainDeadline: instance.drainDeadline }),
      weight: instance.weight,
      latencyMs: instance.latencyMs,
      inflight: 0,
      queued: 0,
    },
  };
}

/**
 * A saved record with the current source. Its state stays, so traffic sees no gap; the next probes confirm or correct
 * it. A registration gets a full TTL, because heartbeats were lost while the agent was down.
 */
export function resume(saved: InstanceRecord, source: InstanceSource, now: number): InstanceRecord {
  const record = withSource(saved, source, now);
  if (source.ttl === undefined) return record;
  return { ...record, instance: { ...record.instance, expiresAt: now + source.ttl } };
}

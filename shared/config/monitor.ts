import { z } from 'zod';
import { duration, httpUrl, id, positiveInt } from './scalars.ts';

export const SEVERITIES = ['warning', 'critical', 'emergency'] as const;

const ladder = (warning: number, critical: number, emergency: number) =>
  z
    .strictObject({
      warning: z.number().default(warning),
      critical: z.number().default(critical),
      emergency: z.number().default(emergency),
    })
    .prefault({});

/** Thresholds as the guide has them; each metric climbs (or, for availability, falls) through three severities. */
export const monitorSection = z.strictObject({
  interval: duration.default(30_000).meta({ title: 'time between two looks' }),
  window: duration.default(300_000).meta({ title: 'time that is looked at' }),
  minimumSamples: positiveInt.default(10).meta({ title: 'requests it takes to judge' }),
  thresholds: z
    .strictObject({
      p95Ms: ladder(400, 500, 1000).meta({ title: '95th percentile of answer times, in ms' }),
      availabilityPercent: ladder(99.9, 99, 95).meta({ title: 'below this' }),
      errorPercent: ladder(1, 5, 10).meta({ title: 'above this' }),
      users: ladder(800, 1000, 1200).meta({ title: 'sessions in use' }),
      cpuPercent: ladder(70, 85, 95).meta({ title: 'of the host' }),
      memoryPercent: ladder(70, 85, 95).meta({ title: 'of the host' }),
    })
    .prefault({}),
});

const receiver = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('log') }),
  z.strictObject({
    type: z.literal('webhook'),
    url: httpUrl,
    headers: z.record(z.string(), z.string()).default({}),
  }),
  /** The URL is the secret, so it comes from SLACK_WEBHOOK_URL. */
  z.strictObject({ type: z.literal('slack'), channel: z.string().optional() }),
  /** The server comes from SMTP_URL. */
  z.strictObject({ type: z.literal('email'), from: z.email(), to: z.array(z.email()).min(1) }),
  z.strictObject({
    type: z.literal('command'),
    argv: z.array(z.string()).min(1),
    timeout: duration.default(10_000).meta({ title: 'when the command is ended' }),
  }),
]);

export const alertsSection = z.strictObject({
  receivers: z.record(id, receiver).default({ log: { type: 'log' } }),
  routes: z
    .array(z.strictObject({ severities: z.array(z.enum(SEVERITIES)).min(1), to: z.array(id).min(1) }))
    .optional()
    .meta({ title: 'which severities go to whom; without it all of them to every receiver' }),
  /** How often an unacknowledged alert is told again, and how many times at most. */
  repeat: z
    .strictObject({
      warning: duration.default(300_000).meta({ title: 'until a warning is told again' }),
      critical: duration.default(180_000).meta({ title: 'until a critical alert is told again' }),
      emergency: duration.default(60_000).meta({ title: 'until an emergency is told again' }),
      atMost: positiveInt.default(10).meta({ title: 'times it is told again' }),
    })
    .prefault({}),
});

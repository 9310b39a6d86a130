import { z } from 'zod';
import { duration, httpUrl, id, positiveInt } from './scalars.ts';

export const SEVERITIES = ['warning', 'critical', 'emergency'] as const;

const thresholds = (title: string, warning: number, critical: number, emergency: number) =>
  z
    .strictObject({
      warning: z.number().default(warning).meta({ title }),
      critical: z.number().default(critical).meta({ title }),
      emergency: z.number().default(emergency).meta({ title }),
    })
    .prefault({});

/** Thresholds default to the guide's. They rise with severity; those of availability fall. */
export const monitorSection = z.strictObject({
  interval: duration.default(30_000).meta({ title: 'Time between two evaluations' }),
  window: duration.default(300_000).meta({ title: 'Time window that the rules evaluate' }),
  minimumSamples: positiveInt
    .default(10)
    .meta({ title: 'Minimum samples in the window; a rule with fewer is not evaluated' }),
  thresholds: z
    .strictObject({
      p95Ms: thresholds('95th percentile of response times above this, milliseconds', 400, 500, 1000),
      availabilityPercent: thresholds('Availability below this, percent', 99.9, 99, 95),
      errorPercent: thresholds('Error rate above this, percent', 1, 5, 10),
      users: thresholds(
        'Average number of requests in flight or queued at the site above this',
        800,
        1000,
        1200,
      ),
      cpuPercent: thresholds('CPU usage of the host above this, percent', 70, 85, 95),
      memoryPercent: thresholds('Memory usage of the host above this, percent', 70, 85, 95),
    })
    .prefault({}),
});

const receiver = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('log').meta({ title: "Writes to the agent's log" }) }),
  z.strictObject({
    type: z.literal('webhook').meta({ title: 'Posts the alert as JSON' }),
    url: httpUrl.meta({ title: 'URL to post to' }),
    headers: z.record(z.string(), z.string()).default({}).meta({ title: 'Header fields to send' }),
  }),
  z.strictObject({
    type: z.literal('slack').meta({ title: 'Posts to SLACK_WEBHOOK_URL' }),
    channel: z.string().optional().meta({ title: 'Channel to post to' }),
  }),
  z.strictObject({
    type: z.literal('email').meta({ title: 'Sends mail through SMTP_URL' }),
    from: z.email().meta({ title: 'Sender' }),
    to: z.array(z.email()).min(1).meta({ title: 'Recipients' }),
  }),
  z.strictObject({
    type: z.literal('command').meta({ title: 'Runs a command with the alert as JSON on its standard input' }),
    argv: z.array(z.string()).min(1).meta({ title: 'Program and arguments' }),
    timeout: duration.default(10_000).meta({ title: 'Time after which the command is killed' }),
  }),
]);

export const alertsSection = z.strictObject({
  receivers: z
    .record(id, receiver)
    .default({ log: { type: 'log' } })
    .meta({ title: 'Receivers by name' }),
  routes: z
    .array(
      z.strictObject({
        severities: z.array(z.enum(SEVERITIES)).min(1).meta({ title: 'Severities to send' }),
        to: z.array(id).min(1).meta({ title: 'Receivers to send them to' }),
      }),
    )
    .optional()
    .meta({ title: 'Which severities go to which receivers; default: all severities to every receiver' }),
  repeat: z
    .strictObject({
      warning: duration.default(300_000).meta({ title: 'Time between repeats of an unacknowledged warning' }),
      critical: duration
        .default(180_000)
        .meta({ title: 'Time between repeats of an unacknowledged critical alert' }),
      emergency: duration
        .default(60_000)
        .meta({ title: 'Time between repeats of an unacknowledged emergency' }),
      atMost: positiveInt.default(10).meta({ title: 'Maximum number of repeats' }),
    })
    .prefault({}),
});

import { z } from 'zod';
import { SEVERITIES } from './monitor.ts';
import { requestHeaders } from './request-headers.ts';
import { duration, durationOrZero, httpUrl, id, positiveInt, secret, urlOrSecret } from './scalars.ts';
import { templateProblem } from './template.ts';

const webhook = z.strictObject({
  type: z.literal('webhook').meta({ title: 'Posts the alert as JSON' }),
  url: urlOrSecret.meta({ title: 'URL to post to' }),
  headers: requestHeaders,
  secret: secret.optional().meta({ title: 'Key of the signature in `x-acgs-signature`' }),
  template: z
    .string()
    .superRefine((text, context) => {
      const message = templateProblem(text);
      if (message) context.addIssue({ code: 'custom', message, input: text });
    })
    .optional()
    .meta({ title: 'JSON to post instead; `{{message}}` and the other fields are replaced' }),
});

const receiver = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('log').meta({ title: "Writes to the agent's log" }) }),
  webhook,
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
  z.strictObject({
    type: z.literal('pagerduty').meta({ title: 'Sends events to PagerDuty (Events API v2)' }),
    routingKey: secret.meta({ title: 'Integration key of the PagerDuty service' }),
    url: httpUrl
      .default('https://events.pagerduty.com/v2/enqueue')
      .meta({ title: 'Where PagerDuty receives events' }),
  }),
  z.strictObject({
    type: z.literal('opsgenie').meta({ title: 'Opens and closes alerts in Opsgenie' }),
    apiKey: secret.meta({ title: 'Key of an API integration' }),
    url: httpUrl
      .default('https://api.opsgenie.com')
      .meta({ title: 'Address of the API; in the EU https://api.eu.opsgenie.com' }),
  }),
  z.strictObject({
    type: z.literal('alertmanager').meta({ title: 'Posts alerts to Prometheus Alertmanager (API v2)' }),
    url: urlOrSecret.meta({ title: 'Address of Alertmanager, without /api/v2' }),
    headers: requestHeaders,
  }),
  z.strictObject({
    type: z.literal('teams').meta({ title: 'Posts cards to Microsoft Teams (Workflows)' }),
    url: secret.meta({ title: "The workflow's URL" }),
  }),
  z.strictObject({
    type: z.literal('discord').meta({ title: 'Posts to a channel in Discord' }),
    url: secret.meta({ title: "The webhook's URL" }),
  }),
]);

/** A rule about the present state. It raises an alert when its condition has held for `after`. */
const condition = (title: string, after: number) =>
  z
    .strictObject({
      enabled: z
        .boolean()
        .default(true)
        .meta({ title: `Whether to alert when ${title}` }),
      after: durationOrZero.default(after).meta({ title: `How long this must last: ${title}` }),
    })
    .prefault({});

const MINUTE = 60_000;

const rules = z
  .strictObject({
    instanceDown: condition('an instance or a service is down', 1_000),
    outlier: condition('an instance does clearly worse than its peers', MINUTE),
    instanceFull: condition('an instance is at its limit of connections', 10_000),
    sinkFailing: condition('HAProxy, Redis or Postgres does not take updates', MINUTE),
    edgeSilent: condition('the edge sends no report although the site has traffic', 2 * MINUTE),
    snapshotNotTaken: condition('the edge does not take the snapshot', 2 * MINUTE),
    configRefused: condition('the agent refused the configuration file', 0),
    sourceFailing: condition('a source of instances cannot be read', 30_000),
    listRefused: condition(
      'a source lists too few instances, too many, or some that are not allowed',
      10_000,
    ),
    receiverFailing: condition('a receiver does not take alerts', MINUTE),
    certificateExpiry: z
      .strictObject({
        enabled: z.boolean().default(true).meta({ title: 'Whether to alert before a certificate expires' }),
        warning: duration.default(21 * 1_440 * MINUTE).meta({ title: 'Warning this long before the expiry' }),
        critical: duration
          .default(7 * 1_440 * MINUTE)
          .meta({ title: 'Critical alert this long before the expiry' }),
      })
      .prefault({}),
    spoolDisk: condition('the spool or the disk of the state folder is nearly full', 30_000),
  })
  .prefault({});

export const alertsSection = z.strictObject({
  dashboardUrl: httpUrl
    .optional()
    .meta({ title: 'Public URL of the dashboard; every notification links to it' }),
  runbookUrl: httpUrl.optional().meta({
    title:
      'Public URL of docs/incident.md or of your own page with the same sections; default: notifications name the section',
  }),
  rules,
  heartbeat: z
    .strictObject({
      url: urlOrSecret.meta({ title: 'URL that the agent requests while it works' }),
      method: z.enum(['GET', 'POST']).default('POST').meta({ title: 'Method of the request' }),
      interval: duration.default(MINUTE).meta({ title: 'Time between two requests' }),
    })
    .optional(),
  receivers: z
    .record(id, receiver)
    .default({ log: { type: 'log' } })
    .meta({ title: 'Receivers by name' }),
  routes: z
    .array(
      z.strictObject({
        severities: z.array(z.enum(SEVERITIES)).min(1).meta({ title: 'Severities to send' }),
        services: z
          .array(id)
          .min(1)
          .optional()
          .meta({ title: 'Only alerts of these services; default: all alerts' }),
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

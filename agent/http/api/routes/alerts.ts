import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { parseDuration } from '../../../../shared/config/scalars.ts';
import { errorMessage } from '../../../../shared/error-message.ts';
import type { AlertRecord } from '../../../alerting/alert.ts';
import type { AlertManager } from '../../../alerting/alert-manager.ts';
import { rank } from '../../../alerting/severity.ts';
import {
  type ApiAlert,
  alertListSchema,
  alertSchema,
  alertTestSchema,
  silenceListSchema,
  silenceSchema,
} from '../../schemas/alerts.ts';
import { actorOf } from '../actor.ts';
import { jsonBody, jsonContent, problemContent } from '../openapi-helpers.ts';
import { ProblemError } from '../problem.ts';

export interface AlertRouteDeps {
  alerts: AlertManager;
  rules: () => readonly string[];
  services: () => readonly string[];
  now?: () => number;
}

const TAGS = ['alerts'];
const MAX_SILENCE_MS = 30 * 86_400_000;
/** Postgres text cannot contain U+0000. */
const boundedText = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    .refine((text) => !text.includes('\0'), { error: 'must not contain U+0000' });
const by = boundedText(200)
  .optional()
  .openapi({ description: 'recorded after the name of the token, unverified' });

const list = createRoute({
  method: 'get',
  path: '/v1/alerts',
  summary: 'List firing alerts, or the latest alerts in any state',
  tags: TAGS,
  request: {
    query: z.object({
      state: z.enum(['firing', 'all']).default('firing'),
      limit: z.coerce.number().int().min(1).max(1000).default(100),
    }),
  },
  responses: {
    200: jsonContent(alertListSchema, 'alerts'),
    503: problemContent('database unavailable'),
  },
});
const acknowledge = createRoute({
  method: 'post',
  path: '/v1/alerts/{id}/ack',
  summary: 'Acknowledge an alert: no repeats unless it gets worse',
  tags: TAGS,
  request: { params: z.object({ id: z.string() }), ...jsonBody(z.strictObject({ by })) },
  responses: { 200: jsonContent(alertSchema, 'the alert'), 404: problemContent('no such firing alert') },
});
const test = createRoute({
  method: 'post',
  path: '/v1/alerts/test',
  summary: 'Send a test notification to all receivers or one',
  tags: TAGS,
  request: jsonBody(z.strictObject({ receiver: z.string().optional() })),
  responses: {
    200: jsonContent(alertTestSchema, 'the result of each receiver'),
    404: problemContent('unknown receiver'),
  },
});
const listSilences = createRoute({
  method: 'get',
  path: '/v1/alerts/silences',
  summary: 'List active silences',
  tags: TAGS,
  responses: { 200: jsonContent(silenceListSchema, 'silences') },
});
const addSilence = createRoute({
  method: 'post',
  path: '/v1/alerts/silences',
  summary: 'Silence alerts for a while',
  tags: TAGS,
  request: jsonBody(
    z.strictObject({
      rule: z.string().default(''),
      service: z.string().default(''),
      for: z.string().openapi({ example: '1h', description: 'duration, at most 30d' }),
      reason: boundedText(1000),
      by,
    }),
  ),
  responses: { 201: jsonContent(silenceSchema, 'the silence'), 400: problemContent('invalid silence') },
});
const removeSilence = createRoute({
  method: 'delete',
  path: '/v1/alerts/silences/{id}',
  summary: 'End a silence',
  tags: TAGS,
  request: { params: z.object({ id: z.string() }) },
  responses: { 204: { description: 'ended' }, 404: problemContent('unknown silence') },
});

/** The firing alerts as the API shows them, worst first. */
export const firingAlerts = (alerts: Pick<AlertManager, 'firing' | 'isSilenced'>): ApiAlert[] =>
  alerts
    .firing()
    .toSorted((a, b) => rank(b.severity) - rank(a.severity) || a.startedAt - b.startedAt)
    .map((alert) => apiAlert(alert, alerts.isSilenced(alert)));

function apiAlert(alert: AlertRecord, silenced: boolean): ApiAlert {
  const { lastNotifiedAt: _, notifiedSeverities: __, recoveryCount: ___, recurring: ____, ...rest } = alert;
  return { ...rest, silenced };
}

export function registerAlertRoutes(app: OpenAPIHono, deps: AlertRouteDeps): void {
  const { alerts, rules, services, now = Date.now } = deps;
  const toApiAlert = (alert: AlertRecord) => apiAlert(alert, alerts.isSilenced(alert));

  app.openapi(list, async (request) => {
    const { state, limit } = request.req.valid('query');
    const found = state === 'firing' ? alerts.firing() : await recent(alerts, limit);
    return request.json(
      { alerts: found.slice(0, limit).map(toApiAlert), receivers: alerts.receivers() },
      200,
    );
  });
  app.openapi(listSilences, (request) => request.json({ silences: alerts.silences() }, 200));
  app.openapi(addSilence, (request) => {
    const body = request.req.valid('json');
    const ms = parseDuration(body.for);
    if (ms === null || ms <= 0 || ms > MAX_SILENCE_MS) {
      throw invalidField('for', body.for, 'a duration such as 30m or 2h, at most 30d');
    }
    if (body.rule && !rules().includes(body.rule))
      throw invalidField('rule', body.rule, `one of ${rules().join(', ')}`);
    if (body.service && !services().includes(body.service)) {
      throw invalidField('service', body.service, `one of ${services().join(', ')}`);
    }
    const { rule, service, reason } = body;
    return request.json(
      alerts.addSilence({ rule, service, reason, until: now() + ms, createdBy: actorOf(request, body.by) }),
      201,
    );
  });
  app.openapi(removeSilence, (request) => {
    const { id } = request.req.valid('param');
    if (!alerts.removeSilence(id)) throw new ProblemError(404, 'Not found', `unknown silence "${id}"`);
    return request.body(null, 204);
  });
  app.openapi(test, async (request) => {
    const { receiver } = request.req.valid('json');
    const results = await alerts.sendTest(receiver);
    if (receiver !== undefined && results.length === 0) {
      throw new ProblemError(404, 'Not found', `unknown receiver "${receiver}"`);
    }
    return request.json({ results }, 200);
  });
  app.openapi(acknowledge, (request) => {
    const { id } = request.req.valid('param');
    const alert = alerts.acknowledge(id, actorOf(request, request.req.valid('json').by));
    if (!alert) throw new ProblemError(404, 'Not found', `no firing alert "${id}"`);
    return request.json(toApiAlert(alert), 200);
  });
}

const invalidField = (field: string, value: string, allowed: string) =>
  new ProblemError(
    400,
    'Bad request',
    `${field}: ${JSON.stringify(value)} is not allowed; expected ${allowed}`,
  );

async function recent(alerts: AlertManager, limit: number) {
  try {
    return await alerts.recent(limit);
  } catch (cause) {
    throw new ProblemError(
      503,
      'Database unavailable',
      `past alerts cannot be read now: ${errorMessage(cause)}`,
      {
        headers: { 'retry-after': '5' },
      },
    );
  }
}

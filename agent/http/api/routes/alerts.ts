import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { parseDuration } from '../../../../shared/config/scalars.ts';
import type { AlertManager } from '../../../alerting/alert-manager.ts';
import {
  alertListSchema,
  alertSchema,
  alertTestSchema,
  silenceListSchema,
  silenceSchema,
} from '../../schemas.ts';
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
/** Postgres holds no U+0000 in a text. */
const words = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    .refine((text) => !text.includes('\0'), { error: 'no U+0000' });
const by = words(200).default('api');
const list = createRoute({
  ...{ method: 'get', path: '/v1/alerts', summary: 'Alerts that fire, or the latest of all', tags: TAGS },
  request: {
    query: z.object({
      state: z.enum(['firing', 'all']).default('firing'),
      limit: z.coerce.number().int().min(1).max(1000).default(100),
    }),
  },
  responses: {
    200: jsonContent(alertListSchema, 'alerts'),
    503: problemContent('the database is away'),
  },
});
const acknowledge = createRoute({
  ...{ method: 'post', path: '/v1/alerts/{id}/ack', summary: 'Stop the repeats of an alert', tags: TAGS },
  request: { params: z.object({ id: z.string() }), ...jsonBody(z.strictObject({ by })) },
  responses: { 200: jsonContent(alertSchema, 'the alert'), 404: problemContent('no such alert fires') },
});
const test = createRoute({
  ...{
    method: 'post',
    path: '/v1/alerts/test',
    summary: 'Send a test to every receiver, or one',
    tags: TAGS,
  },
  request: jsonBody(z.strictObject({ receiver: z.string().optional() })),
  responses: {
    200: jsonContent(alertTestSchema, 'how each went'),
    404: problemContent('no such receiver'),
  },
});
const listSilences = createRoute({
  ...{ method: 'get', path: '/v1/alerts/silences', summary: 'Silences that hold', tags: TAGS },
  responses: { 200: jsonContent(silenceListSchema, 'silences') },
});
const addSilence = createRoute({
  ...{ method: 'post', path: '/v1/alerts/silences', summary: 'Keep alerts back for a while', tags: TAGS },
  request: jsonBody(
    z.strictObject({
      rule: z.string().default(''),
      service: z.string().default(''),
      for: z.string().openapi({ example: '1h', description: 'duration, at most 30d' }),
      reason: words(1000),
      by,
    }),
  ),
  responses: { 201: jsonContent(silenceSchema, 'the silence'), 400: problemContent('not a silence') },
});
const removeSilence = createRoute({
  ...{ method: 'delete', path: '/v1/alerts/silences/{id}', summary: 'End a silence', tags: TAGS },
  request: { params: z.object({ id: z.string() }) },
  responses: { 204: { description: 'ended' }, 404: problemContent('no such silence') },
});

export function registerAlertRoutes(app: OpenAPIHono, deps: AlertRouteDeps): void {
  const { alerts, rules, services, now = Date.now } = deps;
  const shown = (alert: ReturnType<AlertManager['firing']>[number]) => {
    const { lastNotifiedAt: _told, notifiedSeverities: _as, recoveryCount: _calm, ...rest } = alert;
    return { ...rest, silenced: alerts.isSilenced(alert) };
  };

  app.openapi(list, async (request) => {
    const { state, limit } = request.req.valid('query');
    const found = state === 'firing' ? alerts.firing() : await recent(alerts, limit);
    return request.json({ alerts: found.slice(0, limit).map(shown), receivers: alerts.receivers() }, 200);
  });
  app.openapi(listSilences, (request) => request.json({ silences: alerts.silences() }, 200));
  app.openapi(addSilence, (request) => {
    const wish = request.req.valid('json');
    const ms = parseDuration(wish.for);
    if (ms === null || ms <= 0 || ms > MAX_SILENCE_MS) {
      throw bad('for', wish.for, 'a duration such as 30m or 2h, at most 30d');
    }
    if (wish.rule && !rules().includes(wish.rule))
      throw bad('rule', wish.rule, `one of ${rules().join(', ')}`);
    if (wish.service && !services().includes(wish.service)) {
      throw bad('service', wish.service, `one of ${services().join(', ')}`);
    }
    const { rule, service, reason } = wish;
    return request.json(
      alerts.addSilence({ rule, service, reason, until: now() + ms, createdBy: wish.by }),
      201,
    );
  });
  app.openapi(removeSilence, (request) => {
    const { id } = request.req.valid('param');
    if (!alerts.removeSilence(id)) throw new ProblemError(404, 'Not found', `there is no silence "${id}"`);
    return request.body(null, 204);
  });
  app.openapi(test, async (request) => {
    const { receiver } = request.req.valid('json');
    const results = await alerts.sendTest(receiver);
    if (receiver !== undefined && results.length === 0) {
      throw new ProblemError(404, 'Not found', `there is no receiver "${receiver}"`);
    }
    return request.json({ results }, 200);
  });
  app.openapi(acknowledge, (request) => {
    const { id } = request.req.valid('param');
    const alert = alerts.acknowledge(id, request.req.valid('json').by);
    if (!alert) throw new ProblemError(404, 'Not found', `no alert "${id}" fires`);
    return request.json(shown(alert), 200);
  });
}

const bad = (field: string, value: string, allowed: string) =>
  new ProblemError(
    400,
    'Bad request',
    `${field}: ${JSON.stringify(value)} is not allowed; expected ${allowed}`,
  );

async function recent(alerts: AlertManager, limit: number) {
  try {
    return await alerts.recent(limit);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ProblemError(503, 'Database unavailable', `past alerts cannot be read now: ${why}`, {
      headers: { 'retry-after': '5' },
    });
  }
}

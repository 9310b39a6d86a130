import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { errorMessage } from '../../../../shared/error-message.ts';
import type { Instance } from '../../../core/state.ts';
import { isPermanentError } from '../../../history/sql/permanent-error.ts';
import { type GovernanceSession, SESSION_STATES, type SessionCommand } from '../../../sessions/session.ts';
import type { Sessions } from '../../../sessions/sessions.ts';
import { sessionListSchema, sessionSchema, sessionStatsSchema } from '../../schemas/sessions.ts';
import { jsonBody, jsonContent, problemContent } from '../openapi-helpers.ts';
import { ProblemError } from '../problem.ts';
import * as schemas from './session-schemas.ts';

export interface SessionRouteDeps {
  sessions: Sessions;
  instances: () => ReadonlyMap<string, Instance>;
}

const TAGS = ['sessions'];
const RETRY_AFTER_S = 5;
const DEFAULT_LIMIT = 100;

const params = z.object({ id: z.string().max(100) });
const sessionContent = jsonContent(sessionSchema, 'the session');
const unavailable = problemContent('database unavailable; retry after Retry-After');
const unknown = problemContent('unknown session');

const create = createRoute({
  method: 'post',
  path: '/v1/sessions',
  summary: 'Create a session for a governance workflow',
  tags: TAGS,
  request: jsonBody(schemas.createBody),
  responses: { 201: sessionContent, 400: problemContent('invalid session'), 503: unavailable },
});
const list = createRoute({
  method: 'get',
  path: '/v1/sessions',
  summary: 'List sessions, newest first',
  tags: TAGS,
  request: {
    query: z.object({
      user: z.string().optional(),
      state: z.enum(SESSION_STATES).optional(),
      limit: z.coerce.number().int().min(1).max(1000).default(DEFAULT_LIMIT),
    }),
  },
  responses: {
    200: jsonContent(sessionListSchema, 'sessions'),
    503: unavailable,
  },
});
const stats = createRoute({
  method: 'get',
  path: '/v1/sessions/stats',
  summary: 'Get session statistics',
  tags: TAGS,
  responses: { 200: jsonContent(sessionStatsSchema, 'the statistics'), 503: unavailable },
});
const get = createRoute({
  method: 'get',
  path: '/v1/sessions/{id}',
  summary: 'Get one session',
  tags: TAGS,
  request: { params },
  responses: { 200: sessionContent, 404: unknown, 503: unavailable },
});
const pin = createRoute({
  method: 'put',
  path: '/v1/sessions/{id}/pins/{service}',
  summary: 'Move a session to another instance of a service',
  tags: TAGS,
  request: { params: params.extend({ service: z.string() }), ...jsonBody(schemas.pinBody) },
  responses: {
    200: sessionContent,
    404: unknown,
    409: problemContent('the instance does not take traffic'),
    503: unavailable,
  },
});

const command = <N extends SessionCommand['do'], B extends z.ZodType>(name: N, schema: B, summary: string) =>
  createRoute({
    method: 'post',
    path: `/v1/sessions/{id}/${name}`,
    summary,
    tags: TAGS,
    request: { params, ...jsonBody(schema) },
    responses: {
      200: sessionContent,
      404: unknown,
      409: problemContent('wrong version or state; the body contains the current session'),
      413: problemContent('the session would exceed its size limit'),
      503: unavailable,
    },
  });
const advance = command('advance', schemas.advanceBody, 'Move to another step');
const suspend = command('suspend', schemas.reasonBody, 'Suspend a session');
const resume = command('resume', schemas.resumeBody, 'Resume a suspended session');
const complete = command('complete', schemas.completeBody, 'Complete a session');
const fail = command('fail', schemas.reasonBody, 'Mark a session as failed');

export function registerSessionRoutes(app: OpenAPIHono, { sessions, instances }: SessionRouteDeps): void {
  const run = async (
    id: string,
    what: SessionCommand,
    version: number | undefined,
  ): Promise<GovernanceSession> => {
    const result = await orUnavailable(sessions.command(id, what, version));
    if (result.kind === 'done') return result.session;
    if (result.kind === 'unknown') throw notFound(id);
    if (result.kind === 'full') throw new ProblemError(413, 'Session too large', result.why);
    throw new ProblemError(409, 'Conflict', result.why, {
      extensions: { ...result.session, session: result.session },
    });
  };

  app.openapi(create, async (request) =>
    request.json(await orUnavailable(sessions.create(request.req.valid('json'))), 201),
  );
  app.openapi(list, async (request) =>
    request.json({ sessions: await orUnavailable(sessions.list(request.req.valid('query'))) }, 200),
  );
  app.openapi(stats, async (request) => request.json(await orUnavailable(sessions.stats()), 200));
  app.openapi(get, async (request) => {
    const { id } = request.req.valid('param');
    const found = await orUnavailable(sessions.get(id));
    if (!found) throw notFound(id);
    // The copy in Redis. RFC 9111 §5.5 removed the Warning header, so the agent uses its own.
    if (found.stale) request.header('x-acgs-stale', '1');
    return request.json(found.session, 200);
  });
  app.openapi(pin, async (request) => {
    const { id, service } = request.req.valid('param');
    const { instance } = request.req.valid('json');
    const target = instances().get(`${service}/${instance}`);
    if (!target)
      throw new ProblemError(404, 'Not found', `service "${service}" has no instance "${instance}"`);
    if (target.state === 'down' || target.state === 'draining') {
      throw new ProblemError(
        409,
        'Instance does not take traffic',
        `${instance} is ${target.state}: ${target.reason}`,
      );
    }
    const session = await orUnavailable(sessions.pin(id, service, instance));
    if (!session) throw notFound(id);
    return request.json(session, 200);
  });

  app.openapi(advance, async (request) => {
    const { version, step, data } = request.req.valid('json');
    const what: SessionCommand = { do: 'advance', step, ...(data && { data }) };
    return request.json(await run(request.req.valid('param').id, what, version), 200);
  });
  app.openapi(complete, async (request) => {
    const { version, data } = request.req.valid('json');
    const what: SessionCommand = { do: 'complete', ...(data && { data }) };
    return request.json(await run(request.req.valid('param').id, what, version), 200);
  });
  app.openapi(resume, async (request) => {
    const { version } = request.req.valid('json');
    return request.json(await run(request.req.valid('param').id, { do: 'resume' }, version), 200);
  });
  app.openapi(suspend, async (request) => {
    const { version, reason } = request.req.valid('json');
    const what: SessionCommand = { do: 'suspend', ...(reason !== undefined && { reason }) };
    return request.json(await run(request.req.valid('param').id, what, version), 200);
  });
  app.openapi(fail, async (request) => {
    const { version, reason } = request.req.valid('json');
    const what: SessionCommand = { do: 'fail', ...(reason !== undefined && { reason }) };
    return request.json(await run(request.req.valid('param').id, what, version), 200);
  });
}

const notFound = (id: string) => new ProblemError(404, 'Not found', `unknown session "${id}"`);

/** Answers 400 for a value Postgres cannot store (U+0000, a lone surrogate), 503 for every other database error. */
async function orUnavailable<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    const why = errorMessage(cause);
    if (cause instanceof Error && isPermanentError(cause)) {
      throw new ProblemError(400, 'Bad request', `the database cannot store this value: ${why}`);
    }
    throw new ProblemError(503, 'Database unavailable', `sessions are unavailable: ${why}`, {
      headers: { 'retry-after': String(RETRY_AFTER_S) },
    });
  }
}

import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Instance } from '../../../core/state.ts';
import { isPermanentError } from '../../../history/sql/permanent-error.ts';
import { type GovernanceSession, SESSION_STATES, type SessionCommand } from '../../../sessions/session.ts';
import type { Sessions } from '../../../sessions/sessions.ts';
import { sessionListSchema, sessionSchema, sessionStatsSchema } from '../../schemas.ts';
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
const one = jsonContent(sessionSchema, 'the session');
const away = problemContent('the database is away; Retry-After tells when to come again');
const unknown = problemContent('no such session');

const create = createRoute({
  ...{ method: 'post', path: '/v1/sessions', summary: 'Begin a governance workflow', tags: TAGS },
  request: jsonBody(schemas.createBody),
  responses: { 201: one, 400: problemContent('not a session'), 503: away },
});
const list = createRoute({
  ...{ method: 'get', path: '/v1/sessions', summary: 'Sessions, newest first', tags: TAGS },
  request: {
    query: z.object({
      user: z.string().optional(),
      state: z.enum(SESSION_STATES).optional(),
      limit: z.coerce.number().int().min(1).max(1000).default(DEFAULT_LIMIT),
    }),
  },
  responses: {
    200: jsonContent(sessionListSchema, 'sessions'),
    503: away,
  },
});
const stats = createRoute({
  ...{ method: 'get', path: '/v1/sessions/stats', summary: 'Sessions in figures', tags: TAGS },
  responses: { 200: jsonContent(sessionStatsSchema, 'figures'), 503: away },
});
const get = createRoute({
  ...{ method: 'get', path: '/v1/sessions/{id}', summary: 'One session', tags: TAGS },
  request: { params },
  responses: { 200: one, 404: unknown, 503: away },
});
const pin = createRoute({
  ...{ method: 'put', path: '/v1/sessions/{id}/pins/{service}', summary: 'Move a session', tags: TAGS },
  request: { params: params.extend({ service: z.string() }), ...jsonBody(schemas.pinBody) },
  responses: { 200: one, 404: unknown, 409: problemContent('the instance does not serve'), 503: away },
});

const command = <N extends SessionCommand['do'], B extends z.ZodType>(name: N, schema: B, summary: string) =>
  createRoute({
    ...{ method: 'post', path: `/v1/sessions/{id}/${name}`, summary, tags: TAGS },
    request: { params, ...jsonBody(schema) },
    responses: {
      200: one,
      404: unknown,
      409: problemContent('not in this version or state; the body holds the current session'),
      413: problemContent('the session would grow past its bounds'),
      503: away,
    },
  });
const advance = command('advance', schemas.advanceBody, 'Leave the current step for another');
const suspend = command('suspend', schemas.reasonBody, 'Pause a session');
const resume = command('resume', schemas.resumeBody, 'Go on with a suspended session');
const complete = command('complete', schemas.completeBody, 'End a session well');
const fail = command('fail', schemas.reasonBody, 'End a session that went wrong');

/** Governance sessions over HTTP. */
export function registerSessionRoutes(app: OpenAPIHono, { sessions, instances }: SessionRouteDeps): void {
  const run = async (
    id: string,
    what: SessionCommand,
    version: number | undefined,
  ): Promise<GovernanceSession> => {
    const result = await orUnavailable(sessions.command(id, what, version));
    if (result.kind === 'done') return result.session;
    if (result.kind === 'unknown') throw notFound(id);
    if (result.kind === 'full') throw new ProblemError(413, 'The session is full', result.why);
    throw new ProblemError(409, 'Not in this version or state', result.why, {
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
    // RFC 9111 §5.5 dropped Warning; a field of our own says that this is the copy.
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
        'The instance does not serve',
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

const notFound = (id: string) => new ProblemError(404, 'Not found', `there is no session "${id}"`);

/** A value no text in Postgres can hold (U+0000, half a surrogate pair) is the caller's mistake; all else means that it is away. */
async function orUnavailable<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    if (cause instanceof Error && isPermanentError(cause)) {
      throw new ProblemError(400, 'Bad request', `the database cannot hold this: ${why}`);
    }
    throw new ProblemError(503, 'Database unavailable', `sessions cannot be written or read now: ${why}`, {
      headers: { 'retry-after': String(RETRY_AFTER_S) },
    });
  }
}

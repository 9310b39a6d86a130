import { createRoute, type OpenAPIHono, type z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { RegistryResult } from '../../../registry/result.ts';
import { instanceSchema, toApiInstance } from '../../schemas.ts';
import type { ApiContext } from '../context.ts';
import { jsonBody, problemContent } from '../openapi-helpers.ts';
import { ProblemError } from '../problem.ts';
import {
  adminSchema,
  instanceParams,
  parseDrainDeadline,
  registrationSchema,
  serviceParam,
  weightSchema,
} from '../request-schemas.ts';

const security = [{ bearer: [] }];
const json = { 'application/json': { schema: instanceSchema } };
const refusals = {
  400: problemContent('the body is wrong'),
  401: problemContent('no valid token'),
  404: problemContent('no such service or instance'),
  409: problemContent('another instance stands in the way'),
};
const kept = { ...refusals, 503: problemContent('it cannot be written to disk, so nothing was done') };

const register = createRoute({
  method: 'post',
  path: '/v1/services/{service}/instances',
  summary: 'Register an instance',
  description: 'The same body again is no change (200); another body under the same id is refused (409).',
  security,
  request: { params: serviceParam, ...jsonBody(registrationSchema) },
  responses: {
    201: { description: 'registered', content: json },
    200: { description: 'was registered so', content: json },
    ...kept,
  },
});
const deregister = createRoute({
  method: 'delete',
  path: '/v1/services/{service}/instances/{id}',
  summary: 'Take back a registration',
  security,
  request: { params: instanceParams },
  responses: { 204: { description: 'gone' }, ...kept },
});
const put = <P extends string, T extends z.ZodType>(path: P, summary: string, schema: T) =>
  createRoute({
    method: 'put',
    path: `/v1/services/{service}/instances/{id}/${path}`,
    summary,
    security,
    request: { params: instanceParams, ...jsonBody(schema) },
    responses: { 200: { description: 'done', content: json }, ...kept },
  });
const admin = put('admin', 'Ready, drain or maint', adminSchema);
const weight = put('weight', 'Share of traffic, 1 to 256', weightSchema);
const heartbeat = createRoute({
  method: 'put',
  path: '/v1/services/{service}/instances/{id}/heartbeat',
  summary: 'Prolong a registration with a ttl',
  security,
  request: { params: instanceParams },
  responses: { 200: { description: 'prolonged', content: json }, ...refusals },
});

/** What operators and instances ask for. Every route needs the bearer token. */
export function registerInstanceRoutes(app: OpenAPIHono, context: ApiContext): void {
  const { registry } = context;

  app.openapi(register, async (request) => {
    const { service } = request.req.valid('param');
    const { publicUrl, maxconn, ttl, ...rest } = request.req.valid('json');
    const answer = await registry.register(
      {
        service,
        ...rest,
        ...(publicUrl === undefined ? {} : { publicUrl }),
        ...(maxconn === undefined ? {} : { maxconn }),
        ...(ttl === undefined ? {} : { ttl }),
      },
      actorOf(request),
    );
    const { created, instance } = unwrapResult(answer, 'Another instance stands in the way');
    return request.json(toApiInstance(instance), created ? 201 : 200);
  });

  app.openapi(deregister, async (request) => {
    const { service, id } = request.req.valid('param');
    unwrapResult(await registry.deregister(service, id, actorOf(request)));
    return request.body(null, 204);
  });

  app.openapi(admin, async (request) => {
    const { service, id } = request.req.valid('param');
    const { state, deadline } = request.req.valid('json');
    if (deadline !== undefined && state !== 'drain') {
      throw new ProblemError(400, 'Bad request', 'deadline: only a drain has one');
    }
    const until = deadline === undefined ? undefined : parseDrainDeadline(deadline, context.now());
    if (until === null) {
      throw new ProblemError(
        400,
        'Bad request',
        'deadline: a duration such as 5m, or an instant that is yet to come, at most a year off',
      );
    }
    const { instance } = unwrapResult(await registry.setAdmin(service, id, state, until, actorOf(request)));
    return request.json(toApiInstance(instance), 200);
  });

  app.openapi(weight, async (request) => {
    const { service, id } = request.req.valid('param');
    const { instance } = unwrapResult(
      await registry.setWeight(service, id, request.req.valid('json').weight, actorOf(request)),
    );
    return request.json(toApiInstance(instance), 200);
  });

  app.openapi(heartbeat, (request) => {
    const { service, id } = request.req.valid('param');
    return request.json(toApiInstance(unwrapResult(registry.heartbeat(service, id)).instance), 200);
  });
}

/** For the audit trail: a name the caller gives itself; the token says that it may. */
function actorOf(request: Context): string {
  const name = request.req
    .header('x-acgs-actor')
    ?.replace(/[^\w@.+ -]/g, '')
    .slice(0, 64);
  return name || 'api';
}

function unwrapResult(
  answer: RegistryResult,
  conflict = 'Not possible',
): Extract<RegistryResult, { ok: true }> {
  if (answer.ok) return answer;
  switch (answer.why) {
    case 'unknown':
      throw new ProblemError(404, 'Not found', answer.detail);
    case 'conflict':
      throw new ProblemError(409, conflict, answer.detail);
    case 'invalid':
      throw new ProblemError(400, 'Bad request', answer.detail);
    case 'unsaved':
      throw new ProblemError(503, 'Not saved', answer.detail, { headers: { 'retry-after': '10' } });
  }
}

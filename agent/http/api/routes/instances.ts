import { createRoute, type OpenAPIHono, type z } from '@hono/zod-openapi';
import type { RegistryResult } from '../../../registry/result.ts';
import { instanceSchema, toApiInstance } from '../../schemas/instances.ts';
import { actorOf } from '../actor.ts';
import type { ApiContext } from '../context.ts';
import { jsonBody, jsonContent, problemContent } from '../openapi-helpers.ts';
import { ProblemError } from '../problem.ts';
import {
  adminSchema,
  instanceParams,
  parseDrainDeadline,
  registrationSchema,
  serviceParam,
  weightSchema,
} from '../request-schemas.ts';

const errors = {
  400: problemContent('invalid body'),
  401: problemContent('no valid token'),
  404: problemContent('unknown service or instance'),
  409: problemContent('conflict with another instance'),
};
const writeErrors = { ...errors, 503: problemContent('the change cannot be saved to disk; nothing changed') };

const register = createRoute({
  method: 'post',
  path: '/v1/services/{service}/instances',
  summary: 'Register an instance',
  description:
    'Repeating the same body changes nothing (200). A different body for the same id is a conflict (409).',
  request: { params: serviceParam, ...jsonBody(registrationSchema) },
  responses: {
    201: jsonContent(instanceSchema, 'registered'),
    200: jsonContent(instanceSchema, 'already registered with this body'),
    ...writeErrors,
  },
});
const deregister = createRoute({
  method: 'delete',
  path: '/v1/services/{service}/instances/{id}',
  summary: 'Deregister an instance',
  description:
    'With a token of the scope register, the id keeps the admin state and the weight that an operator set.',
  request: { params: instanceParams },
  responses: { 204: { description: 'deregistered' }, ...writeErrors },
});
const put = <P extends string, T extends z.ZodType>(path: P, summary: string, schema: T) =>
  createRoute({
    method: 'put',
    path: `/v1/services/{service}/instances/{id}/${path}`,
    summary,
    request: { params: instanceParams, ...jsonBody(schema) },
    responses: { 200: jsonContent(instanceSchema, 'done'), ...writeErrors },
  });
const admin = put('admin', 'Set the admin state: ready, drain or maint', adminSchema);
const weight = put('weight', 'Set the weight, 1 to 256', weightSchema);
const heartbeat = createRoute({
  method: 'put',
  path: '/v1/services/{service}/instances/{id}/heartbeat',
  summary: 'Renew a registration that has a ttl',
  request: { params: instanceParams },
  responses: { 200: jsonContent(instanceSchema, 'renewed'), ...errors },
});

/** Registration, admin state and weight. Every route requires the bearer token. */
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
    const { created, instance } = unwrapResult(answer, 'Conflict with another instance');
    return request.json(toApiInstance(instance), created ? 201 : 200);
  });

  app.openapi(deregister, async (request) => {
    const { service, id } = request.req.valid('param');
    // A token that cannot set them cannot reset them either.
    const settings = request.get('tokenScope')?.kind === 'admin' ? 'clear-settings' : 'keep-settings';
    unwrapResult(await registry.deregister(service, id, actorOf(request), settings));
    return request.body(null, 204);
  });

  app.openapi(admin, async (request) => {
    const { service, id } = request.req.valid('param');
    const { state, deadline } = request.req.valid('json');
    if (deadline !== undefined && state !== 'drain') {
      throw new ProblemError(400, 'Bad request', 'deadline: only valid with state "drain"');
    }
    const until = deadline === undefined ? undefined : parseDrainDeadline(deadline, context.now());
    if (until === null) {
      throw new ProblemError(
        400,
        'Bad request',
        'deadline: must be a duration such as 5m, or a future time at most a year away',
      );
    }
    const { instance } = unwrapResult(
      await registry.setAdmin(service, id, { state, deadline: until }, actorOf(request)),
    );
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

function unwrapResult(
  answer: RegistryResult,
  conflictTitle = 'Conflict',
): Extract<RegistryResult, { ok: true }> {
  if (answer.ok) return answer;
  switch (answer.why) {
    case 'unknown':
      throw new ProblemError(404, 'Not found', answer.detail);
    case 'conflict':
      throw new ProblemError(409, conflictTitle, answer.detail);
    case 'invalid':
      throw new ProblemError(400, 'Bad request', answer.detail);
    case 'unsaved':
      throw new ProblemError(503, 'Not saved', answer.detail, { headers: { 'retry-after': '10' } });
  }
}

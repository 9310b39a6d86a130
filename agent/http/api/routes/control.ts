import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { ConfigError } from '../../../../shared/config/load.ts';
import { redactSecrets } from '../../../configuration/secrets.ts';
import { configChangesSchema, explanationSchema, snapshotOrderSchema } from '../../schemas/control.ts';
import { actorOf } from '../actor.ts';
import type { ApiContext } from '../context.ts';
import { limitBody } from '../limit-body.ts';
import { jsonContent, problemContent } from '../openapi-helpers.ts';
import { ProblemError } from '../problem.ts';

const explainRoute = createRoute({
  method: 'get',
  path: '/v1/explain',
  summary: 'Explain which instance the edge would choose for a request',
  request: {
    query: z.object({
      path: z.string().startsWith('/').max(2048),
      host: z.string().max(255).optional(),
      session: z.string().max(256).optional(),
      client: z.union([z.ipv4(), z.ipv6()]).optional(),
    }),
  },
  responses: {
    200: jsonContent(explanationSchema, 'the explanation'),
    400: problemContent('invalid query'),
  },
});

const putConfig = createRoute({
  method: 'put',
  path: '/v1/config',
  summary: 'Apply a configuration (the text of acgs-lb.yaml), completely or not at all',
  description: 'At most 1 MiB. A larger file can be put on the host of the agent, which reads it on SIGHUP.',
  request: {
    query: z.object({
      dryRun: z
        .enum(['true', 'false'])
        .optional()
        .openapi({ description: 'true: only report what would change' }),
    }),
  },
  responses: {
    200: jsonContent(configChangesSchema, 'applied'),
    400: problemContent('invalid configuration; lists every problem'),
    401: problemContent('no valid token'),
  },
});

const rollBack = createRoute({
  method: 'post',
  path: '/v1/config/rollback',
  summary: 'Apply the previous configuration again',
  description:
    'The agent keeps the last five. Each call goes one further back, and the file is written as by PUT.',
  request: { query: putConfig.request.query },
  responses: {
    200: jsonContent(configChangesSchema, 'applied'),
    400: problemContent('the agent refuses the previous configuration; lists every problem'),
    401: problemContent('no valid token'),
    409: problemContent('no previous configuration is kept'),
  },
});

const publishRoute = createRoute({
  method: 'post',
  path: '/v1/publish',
  summary: 'Publish the snapshot now',
  responses: {
    202: jsonContent(snapshotOrderSchema, 'accepted; epoch and seq of the previous snapshot'),
    401: problemContent('no valid token'),
    409: problemContent('this agent does not publish'),
  },
});

/** A file of 20,000 instances. Parsing it stops everything else for a second. */
const CONFIG_KIB = 1024;

/** Routes that concern all services: explain, configuration, publish. */
export function registerControlRoutes(app: OpenAPIHono, context: ApiContext): void {
  app.openapi(explainRoute, (request) => {
    const { path, host, session, client } = request.req.valid('query');
    const query = {
      path,
      host: host?.toLowerCase() ?? '',
      ...(session ? { session } : {}),
      ...(client ? { client } : {}),
    };
    return request.json(context.explain(query), 200);
  });

  app.openAPIRegistry.registerPath({
    method: 'get',
    path: '/v1/config',
    summary: 'Get the active configuration with all defaults; times in milliseconds',
    responses: {
      200: jsonContent(z.looseObject({ version: z.literal(1) }), 'the configuration'),
    },
  });
  app.get('/v1/config', (request) => request.json(redactSecrets(context.config())));

  app.use('/v1/config', limitBody(CONFIG_KIB));
  app.openapi(putConfig, async (request) => {
    const options = { dryRun: request.req.valid('query').dryRun === 'true', by: actorOf(request) };
    const text = await request.req.text();
    return request.json(await reportingProblems(context.reconfigure(text, options)), 200);
  });

  app.openapi(rollBack, async (request) => {
    const options = { dryRun: request.req.valid('query').dryRun === 'true', by: actorOf(request) };
    const result = await reportingProblems(context.rollBackConfig(options));
    if (!result)
      throw new ProblemError(409, 'Conflict', 'the agent has no previous configuration to go back to');
    return request.json(result, 200);
  });

  app.openapi(publishRoute, (request) => {
    const order = context.publish();
    if (!order)
      throw new ProblemError(
        409,
        'Not publishing',
        'this agent does not publish snapshots: it is on standby, or no publisher is configured',
      );
    return request.json(order, 202);
  });
}

/** Throws a ProblemError with all problems when the configuration is refused. */
async function reportingProblems<T>(applied: Promise<T>): Promise<T> {
  try {
    return await applied;
  } catch (error) {
    const problems = configErrors(error);
    if (!problems) throw error;
    throw new ProblemError(400, 'Invalid configuration', problems.join('\n'), { extensions: { problems } });
  }
}

/** The problems of the configuration; null when `error` has another cause. */
function configErrors(error: unknown): string[] | null {
  if (error instanceof ConfigError) return error.problems;
  const named = error instanceof Error && ['EnvironmentError', 'HaproxyConfigError'].includes(error.name);
  return named ? error.message.split('\n') : null;
}

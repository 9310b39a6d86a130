import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { ConfigError } from '../../../../shared/config/load.ts';
import { redactSecrets } from '../../../configuration/secrets.ts';
import { configChangesSchema, explanationSchema, snapshotOrderSchema } from '../../schemas.ts';
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

const CONFIG_KIB = 4 * 1024;

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
    try {
      const dryRun = request.req.valid('query').dryRun === 'true';
      const options = { dryRun, by: actorOf(request) };
      return request.json(await context.reconfigure(await request.req.text(), options), 200);
    } catch (error) {
      const problems = configErrors(error);
      if (!problems) throw error;
      throw new ProblemError(400, 'Invalid configuration', problems.join('\n'), { extensions: { problems } });
    }
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

/** The problems of the configuration; null when `error` has another cause. */
function configErrors(error: unknown): string[] | null {
  if (error instanceof ConfigError) return error.problems;
  const named = error instanceof Error && ['EnvironmentError', 'HaproxyConfigError'].includes(error.name);
  return named ? error.message.split('\n') : null;
}

import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { ConfigError } from '../../../../shared/config/load.ts';
import { redactSecrets } from '../../../configuration/secrets.ts';
import { configChangesSchema, explanationSchema, snapshotOrderSchema } from '../../schemas.ts';
import type { ApiContext } from '../context.ts';
import { limitBody } from '../limit-body.ts';
import { problemContent } from '../openapi-helpers.ts';
import { ProblemError } from '../problem.ts';

const security = [{ bearer: [] }];

const explainRoute = createRoute({
  method: 'get',
  path: '/v1/explain',
  summary: 'Which instance a request would go to, and why',
  request: {
    query: z.object({
      path: z.string().startsWith('/').max(2048),
      host: z.string().max(255).optional(),
      session: z.string().max(256).optional(),
      client: z.union([z.ipv4(), z.ipv6()]).optional(),
    }),
  },
  responses: {
    200: {
      description: 'the explanation',
      content: {
        'application/json': {
          schema: explanationSchema,
        },
      },
    },
    400: problemContent('the question is wrong'),
  },
});

const putConfig = createRoute({
  method: 'put',
  path: '/v1/config',
  summary: 'Take a new configuration (the text of acgs-lb.yaml), whole or not at all',
  security,
  request: {
    query: z.object({
      dryRun: z.enum(['true', 'false']).optional().openapi({ description: 'only say what would change' }),
    }),
  },
  responses: {
    200: {
      description: 'taken',
      content: {
        'application/json': {
          schema: configChangesSchema,
        },
      },
    },
    400: problemContent('refused, with every mistake'),
    401: problemContent('no valid token'),
  },
});

const publishRoute = createRoute({
  method: 'post',
  path: '/v1/publish',
  summary: 'Publish the snapshot at once',
  security,
  responses: {
    202: {
      description: 'on its way; the order last published',
      content: {
        'application/json': { schema: snapshotOrderSchema },
      },
    },
    401: problemContent('no valid token'),
    409: problemContent('this agent publishes nothing'),
  },
});

/** Larger than any sensible configuration. */
const CONFIG_KIB = 4 * 1024;

/** Questions about, and changes to, the whole. */
export function registerControlRoutes(app: OpenAPIHono, context: ApiContext): void {
  app.openapi(explainRoute, (request) => {
    const { path, host, session, client } = request.req.valid('query');
    const question = {
      path,
      host: host?.toLowerCase() ?? '',
      ...(session ? { session } : {}),
      ...(client ? { client } : {}),
    };
    return request.json(context.explain(question), 200);
  });

  app.openAPIRegistry.registerPath({
    method: 'get',
    path: '/v1/config',
    summary: 'The configuration in force, every default filled in; times in milliseconds',
    responses: {
      200: {
        description: 'the configuration',
        content: { 'application/json': { schema: z.looseObject({ version: z.literal(1) }) } },
      },
    },
  });
  app.get('/v1/config', (request) => request.json(redactSecrets(context.config())));

  app.use('/v1/config', limitBody(CONFIG_KIB));
  app.openapi(putConfig, async (request) => {
    try {
      const dryRun = request.req.valid('query').dryRun === 'true';
      return request.json(await context.reconfigure(await request.req.text(), dryRun), 200);
    } catch (error) {
      const problems = configErrors(error);
      if (!problems) throw error;
      throw new ProblemError(400, 'Configuration refused', problems.join('\n'), { extensions: { problems } });
    }
  });

  app.openapi(publishRoute, (request) => {
    const order = context.publish();
    if (!order)
      throw new ProblemError(
        409,
        'Not publishing',
        'this agent publishes no snapshot: it stands by, or nothing names where to publish',
      );
    return request.json(order, 202);
  });
}

/** The mistakes, when it was the configuration that was at fault. */
function configErrors(error: unknown): string[] | null {
  if (error instanceof ConfigError) return error.problems;
  const named = error instanceof Error && ['EnvironmentError', 'HaproxyConfigError'].includes(error.name);
  return named ? error.message.split('\n') : null;
}

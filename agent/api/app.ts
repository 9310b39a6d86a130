import { OpenAPIHono } from '@hono/zod-openapi';
import { bodyLimit } from 'hono/body-limit';
import { bearer } from './auth.ts';
import type { ApiContext } from './context.ts';
import { ProblemError, problemAnswer } from './problem.ts';
import { registerControlRoutes } from './routes/control.ts';
import { registerEdgeReportRoutes } from './routes/edge-reports.ts';
import { registerEventRoutes } from './routes/events.ts';
import { registerInstanceRoutes } from './routes/instances.ts';
import { registerOwnRoutes } from './routes/own.ts';
import { registerServiceRoutes } from './routes/services.ts';

export interface AppOptions {
  context: ApiContext;
  token: string | undefined;
  version: string;
  /** Routes of other parts: sessions, alerts, the dashboard. */
  extend?: (app: OpenAPIHono) => void;
}

/** Sessions may carry 64 KiB of data and as much metadata; every other body is smaller. */
const BODY_LIMIT = 256 * 1024;
/** These take more, and set their own limit. */
const OWN_LIMIT = new Set(['/v1/config', '/v1/edge-reports']);
const limited = bodyLimit({
  maxSize: BODY_LIMIT,
  onError: () => {
    // The rest of the body is not read, so the connection is of no more use.
    throw new ProblemError(413, 'Too large', `a body of this kind holds at most ${BODY_LIMIT / 1024} KiB`, {
      headers: { connection: 'close' },
    });
  },
});

/** The agent's HTTP API. Every error is problem+json; the description at /v1/openapi.json is made from the routes. */
export function createApp({ context, token, version, extend }: AppOptions): OpenAPIHono {
  const app = new OpenAPIHono({
    defaultHook: (result) => {
      if (result.success) return;
      const text = result.error.issues.map(
        ({ path, message }) => `${path.join('.') || result.target}: ${message}`,
      );
      throw new ProblemError(400, 'Bad request', text.join('; '), {
        extensions: { errors: result.error.issues.map(({ path, message }) => ({ path, message })) },
      });
    },
  });
  app.onError((error, request) => {
    if (error instanceof ProblemError) return problemAnswer(request, error);
    if ('status' in error && typeof error.status === 'number' && error.status >= 400 && error.status < 500) {
      const status = error.status === 413 ? 413 : 400;
      return problemAnswer(request, new ProblemError(status, 'Bad request', error.message));
    }
    context.log.error({ err: error, path: request.req.path }, 'request failed');
    return problemAnswer(
      request,
      new ProblemError(500, 'Internal error', 'the agent failed to answer; its log says why'),
    );
  });
  app.notFound((request) =>
    problemAnswer(request, new ProblemError(404, 'Not found', `there is nothing at ${request.req.path}`)),
  );

  app.use('/v1/*', bearer({ token, bind: context.config().agent.bind }));
  app.use('/v1/*', async (request, next) =>
    OWN_LIMIT.has(request.req.path) ? next() : limited(request, next),
  );
  registerOwnRoutes(app, context);
  registerServiceRoutes(app, context);
  registerInstanceRoutes(app, context);
  registerEventRoutes(app, context);
  registerControlRoutes(app, context);
  registerEdgeReportRoutes(app, context);
  app.openAPIRegistry.registerComponent('securitySchemes', 'bearer', { type: 'http', scheme: 'bearer' });
  extend?.(app);
  app.doc31('/v1/openapi.json', {
    openapi: '3.1.0',
    info: {
      title: 'acgs-lb agent',
      version,
      description: 'Load balancer agent: services, instances, evidence, control',
    },
  });
  return app;
}

import { getConnInfo } from '@hono/node-server/conninfo';
import { OpenAPIHono } from '@hono/zod-openapi';
import type { MiddlewareHandler } from 'hono';
import { valueAt, valueText } from '../../../shared/config/problem.ts';
import type { ApiToken } from '../../core/api-token.ts';
import { auditWrites } from './audit.ts';
import { bearerAuth, isLoopback } from './auth.ts';
import { checkHost } from './check-host.ts';
import { compressLarge } from './compress.ts';
import type { ApiContext } from './context.ts';
import { limitBody } from './limit-body.ts';
import { completeDocument, SECURITY_SCHEMES } from './openapi-document.ts';
import { ProblemError, problemResponse } from './problem.ts';
import { registerControlRoutes } from './routes/control.ts';
import { registerEdgeReportRoutes } from './routes/edge-reports.ts';
import { registerEventRoutes } from './routes/events.ts';
import { registerHealthRoutes } from './routes/health.ts';
import { registerHistoryRoutes } from './routes/history.ts';
import { registerInstanceRoutes } from './routes/instances.ts';
import { registerServiceRoutes } from './routes/services.ts';
import { describeIssue } from './zod-errors.ts';

export interface AppOptions {
  context: ApiContext;
  tokens: readonly ApiToken[];
  version: string;
  /** Adds routes of other subjects: sessions, alerts, the dashboard. */
  extend?: (app: OpenAPIHono) => void;
}

/** The largest JSON body is a session: 64 KiB of data and 64 KiB of metadata. */
const limitBodySize = limitBody(256);
/** These set their own limit; the first accepts YAML. */
const OTHER_BODY_PATHS = new Set(['/v1/config', '/v1/edge-reports']);
/** These grow with the number of instances: megabytes for a few thousand. */
const COMPRESSED_PATHS = ['/v1/status', '/v1/services', '/v1/history', '/metrics'];
const JSON_TYPE = /^application\/([\w.-]+\+)?json\s*(;|$)/i;

/** CSRF protection: a page of another origin cannot send this content type without a CORS preflight. */
const requireJson: MiddlewareHandler = async ({ req }, next) => {
  const type = req.header('content-type') ?? '';
  const hasBody = req.header('transfer-encoding') ?? Number(req.header('content-length') ?? 0) > 0;
  if (hasBody && !JSON_TYPE.test(type)) {
    const found = type === '' ? 'no content-type' : `content-type: ${type.slice(0, 100)}`;
    throw new ProblemError(
      415,
      'Not JSON',
      `the request body needs content-type: application/json, found ${found}`,
    );
  }
  return next();
};

/** `; found "ftp://x"`; empty when the value is missing, or not a single one. */
function foundText(data: unknown, path: readonly PropertyKey[]): string {
  const value = path.length > 0 ? valueAt(data, path) : undefined;
  return value === undefined || (typeof value === 'object' && value !== null)
    ? ''
    : `; found ${valueText(value)}`;
}

/** Lets a command of the same version skip validation of the answer. Runs after the token check. */
export const sendVersion =
  (version: string): MiddlewareHandler =>
  async (context, next) => {
    await next();
    if (context.res.ok) context.header('x-acgs-version', version);
  };

/** The agent's HTTP API. Every error is problem+json; /v1/openapi.json is generated from the routes. */
export function createApp({ context, tokens, version, extend }: AppOptions): OpenAPIHono {
  const app = new OpenAPIHono({
    defaultHook: (result) => {
      if (result.success) return;
      const errors = result.error.issues.map((issue) => ({
        path: issue.path,
        message: describeIssue(issue) + foundText((result as { data?: unknown }).data, issue.path),
      }));
      const text = errors.map(({ path, message }) => `${path.join('.') || result.target}: ${message}`);
      throw new ProblemError(400, 'Bad request', text.join('; '), { extensions: { errors } });
    },
  });
  app.onError((error, request) => {
    if (error instanceof ProblemError) return problemResponse(request, error);
    if ('status' in error && typeof error.status === 'number' && error.status >= 400 && error.status < 500) {
      return problemResponse(request, new ProblemError(400, 'Bad request', error.message));
    }
    context.log.error({ err: error, path: request.req.path }, 'request failed');
    return problemResponse(
      request,
      new ProblemError(500, 'Internal error', 'the agent failed to answer; see its log'),
    );
  });
  app.notFound((request) =>
    problemResponse(request, new ProblemError(404, 'Not found', `no route for ${request.req.path}`)),
  );

  app.use(
    '*',
    checkHost({
      loopback: isLoopback(context.config().agent.bind),
      hosts: () => context.config().agent.hosts,
    }),
  );
  app.use(
    '/v1/*',
    bearerAuth({
      tokens,
      bind: context.config().agent.bind,
      addressOf: (request) => getConnInfo(request).remote.address ?? '',
      now: context.now,
      onThrottled: (address) =>
        context.log.warn({ address }, 'ten wrong tokens from this address: blocked for up to a minute'),
    }),
  );
  app.use('/v1/*', sendVersion(version));
  for (const check of [limitBodySize, requireJson]) {
    app.use('/v1/*', async (request, next) =>
      OTHER_BODY_PATHS.has(request.req.path) ? next() : check(request, next),
    );
  }
  app.use('/v1/*', auditWrites(context));
  for (const path of COMPRESSED_PATHS) app.use(path, compressLarge);
  registerRoutes(app, context);
  for (const [name, scheme] of Object.entries(SECURITY_SCHEMES)) {
    app.openAPIRegistry.registerComponent('securitySchemes', name, scheme);
  }
  extend?.(app);
  const info = {
    title: 'acgs-lb agent',
    version,
    description: 'Load balancer agent: services, instances, evidence, control',
  };
  app.get('/v1/openapi.json', (request) =>
    request.json(completeDocument(app.getOpenAPI31Document({ openapi: '3.1.0', info }))),
  );
  return app;
}

function registerRoutes(app: OpenAPIHono, context: ApiContext): void {
  registerHealthRoutes(app, context);
  registerServiceRoutes(app, context);
  registerInstanceRoutes(app, context);
  registerEventRoutes(app, context);
  registerHistoryRoutes(app, context);
  registerControlRoutes(app, context);
  registerEdgeReportRoutes(app, context);
}
